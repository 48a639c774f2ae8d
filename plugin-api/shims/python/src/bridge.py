"""Between the library and one plugin: `call` takes the name of a function and its argument as JSON, and gives
JSON. No exception leaves it.

The library runs this text with `SOURCE` (the plugin's path), `NAME` and `API` (pathspider.py) set.
"""

import json
import sys
import threading
import traceback
import types

_objects = {}
_lock = threading.Lock()
# What `judge` got, by its thread: for the `combine` that follows on the same one. What is local to a thread in
# Python ends with each call.
_judged = {}


def _module(name, path, text):
    module = types.ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    exec(compile(text, path, "exec"), module.__dict__)
    return module


def _load():
    global pathspider, measurement, chains
    sys.dont_write_bytecode = True
    # Each plugin has its own, of the library that it came with.
    pathspider = _module("pathspider", "pathspider.py", API)
    with open(SOURCE, encoding="utf-8") as file:
        plugin = _module("pathspider_plugin_" + NAME, SOURCE, file.read())

    def own(base):
        return [kind for kind in vars(plugin).values()
                if isinstance(kind, type) and issubclass(kind, base) and kind.__module__ == plugin.__name__]

    found = own(pathspider.Measurement)
    if len(found) != 1:
        raise TypeError(f"it has {len(found)} classes that inherit from pathspider.Measurement, and needs one")
    measurement = found[0]
    chains = [kind() for kind in own(pathspider.Chain)]


def _configuration(one):
    return {"label": one, "carrier": "opening"} if isinstance(one, str) else one


def describe(_):
    kind = measurement
    return {
        "measurement": {
            "name": kind.name, "version": kind.version, "description": kind.description,
            "contact": kind.contact, "port": kind.port, "forges": kind.forges, "blocking": kind.blocks,
            "names": kind.takes_names, "options": list(kind.options),
            "conditions": list(kind.conditions),
        },
        "chains": [{"name": chain.name, "description": chain.description, "fields": list(chain.fields),
                    "packets": chain.packets} for chain in chains],
    }


def new(options):
    made = measurement(options)
    with _lock:
        number = max(_objects, default=0) + 1
        _objects[number] = made
    return {"object": number, "configurations": [_configuration(one) for one in made.configurations],
            "chains": list(made.chains)}


def drop(argument):
    with _lock:
        _objects.pop(argument["object"], None)
    return {}


def connect(argument):
    attempt = pathspider.Attempt(argument["config"], argument["address"], argument["port"], argument["job"])
    return _objects[argument["object"]].connect(attempt)


def judge(argument):
    made = _objects[argument["object"]]
    flows = [pathspider.Flow(**flow) for flow in argument["flows"]]
    _judged[threading.get_ident()] = made, argument["job"], flows
    judged = [made.as_meant(flow) if flow.seen else None for flow in flows]
    for one in judged:
        if one not in (True, False, None):
            raise TypeError(f"as_meant gave {one!r}, and not True, False or None")
    return {"judged": judged}


def combine(argument):
    made, job, flows = _judged.pop(threading.get_ident())
    said = made.combine(pathspider.Flows(job, flows, argument["sound"]))
    return {"conditions": [one for one in said or () if one is not None]}


def read(argument):
    packets = [pathspider.Packet(*each[:5], *map(bytes.fromhex, each[5:])) for each in argument["packets"]]
    return {"fields": chains[argument["chain"]].read(packets)}


_functions = {one.__name__: one for one in (describe, new, drop, connect, judge, combine, read)}


def _said(error):
    """An exception on one line, with the line of the plugin that it came from."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    if isinstance(error, SyntaxError):
        return f"{text} (line {error.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == SOURCE]
    return f"{text} (line {lines[-1]})" if lines else text


def _guarded(function, argument):
    try:
        given = function(argument)
        if not isinstance(given, dict):
            raise TypeError(f"{function.__name__} gave {given!r}")
        return given
    except BaseException as error:  # SystemExit too: it is the plugin's, and not the program's
        return {"error": _said(error)}


def call(name, argument):
    given = _guarded(_functions[name], json.loads(argument))
    messages = pathspider._messages
    if messages:
        given["log"] = [messages.pop(0) for _ in range(len(messages))]
    try:
        return json.dumps(given)
    except (TypeError, ValueError) as error:
        return json.dumps({"error": f"{name} gave what JSON lacks: {_said(error)}"})


def load():
    return json.dumps(_guarded(lambda _: (_load(), {})[1], None))
