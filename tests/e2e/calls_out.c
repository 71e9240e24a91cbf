/* Loaded into a program by LD_PRELOAD: writes a line to the file CALLS_OUT for each name that it looks up and each
 * address of the internet that it turns to, then lets it. Sockets within the machine's file system are left alone. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *call, const char *where) {
    char line[512];
    const char *path = getenv("CALLS_OUT");
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    int size = snprintf(line, sizeof line, "%s %.400s\n", call, where);
    if (file < 0 || write(file, line, size) != size) abort();
    close(file);
}

static void tell_address(const char *call, const struct sockaddr *to) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (!to || (to->sa_family != AF_INET && to->sa_family != AF_INET6)) return;
    const void *in = to->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)to)->sin_addr
                                              : (const void *)&((const struct sockaddr_in6 *)to)->sin6_addr;
    inet_ntop(to->sa_family, in, text, sizeof text);
    tell(call, text);
}

int connect(int socket, const struct sockaddr *to, socklen_t size) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    tell_address("connect", to);
    return real(socket, to, size);
}

ssize_t sendto(int socket, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    tell_address("sendto", to);
    return real(socket, data, length, flags, to, size);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
    ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
    tell_address("sendmsg", message->msg_name);
    return real(socket, message, flags);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (name) tell("getaddrinfo", name);
    return real(name, service, hints, found);
}

struct hostent *gethostbyname(const char *name) {
    struct hostent *(*real)(const char *) = dlsym(RTLD_NEXT, "gethostbyname");
    tell("gethostbyname", name);
    return real(name);
}
