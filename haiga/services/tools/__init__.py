"""Tools that a server runs for the model, so that their results are in the conversation without a client.

hosted.py     one tool that is run here, and what comes of a call
registry.py   the tools that the operator has configured, and who may use them
functions.py  Python functions and HTTP endpoints as tools
mcp.py        servers of the Model Context Protocol
offer.py      the tools of one answer, under the names that the model knows them by
calls.py      calls carried out, within their bounds, and logged
rounds.py     one round of an answer: what the model says, its calls to servers carried out
stage.py      the stage that asks the model again until it has no more such calls
"""

from haiga.services.tools.hosted import OWN, HostedTool, Outcome
from haiga.services.tools.mcp import Connector
from haiga.services.tools.registry import Registered, Registry
from haiga.services.tools.stage import ServerTools

__all__ = ["OWN", "Connector", "HostedTool", "Outcome", "Registered", "Registry", "ServerTools"]
