"""What holds for every test. Rule: nothing that a test could ask for by name, but the PostgreSQL that starts once."""

import signal

pytest_plugins = ["tests.postgres"]

# a suite started in the background inherits an ignored SIGINT and hands it on; programs under test must hear theirs
signal.signal(signal.SIGINT, signal.default_int_handler)
