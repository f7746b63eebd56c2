"""A backend for `command:python3 examples/backend.py`: JSON Lines in, JSON Lines out (PROTOCOL.md)."""
import json
import sys


def write(message):
    print(json.dumps(message), flush=True)


def generate(request):
    """Put your model here. This one repeats the last line of what it is asked."""
    asked = request["prompt"]["messages"][-1]["content"]
    text = json.dumps({"answer": asked.strip().splitlines()[-1]})
    return {"text": text, "stop_reason": "stop", "constrained": False,
            "usage": {"prompt_tokens": len(asked.split()), "output_tokens": len(text.split())}, "timing": {}}


for line in sys.stdin:  # the end of the input is the end of the backend
    message = json.loads(line)
    answer = {"id": message["id"]}
    if message["op"] == "load":
        facts = {"reported_name": "echo", "context_tokens": message["settings"]["context_tokens"],
                 "wires": ["chat"], "mechanisms": [], "deterministic_when_greedy": True, "engine_build": "echo 1"}
        write(answer | {"type": "loaded", "protocol": 1, "health": True, "facts": facts})
    elif message["op"] == "generate":
        write(answer | {"type": "reply", "reply": generate(message["request"])})
    elif message["op"] == "health":
        write(answer | {"type": "healthy"})
