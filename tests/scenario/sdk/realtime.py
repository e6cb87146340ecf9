"""PyPI `openai`, client.realtime: URL MODEL. Prints the types of events of one session, or the error.

A process of its own, because the SDK wants a newer websockets than Debian's, which other tests use.
"""

import json
import sys

import openai


def main(url, model):
    types = []
    client = openai.OpenAI(base_url=url, api_key="sk-client", max_retries=0, timeout=30)
    with client.realtime.connect(model=model) as connection:
        types.append(connection.recv().type)
        connection.session.update(session={"type": "realtime", "instructions": "short, please"})
        types.append(connection.recv().type)
        connection.response.create()
        for event in connection:
            types.append(event.type)
            if event.type == "response.done":
                break
    return types


try:
    print(json.dumps(main(*sys.argv[1:])))
except Exception as e:  # what the application would see is the result
    print(json.dumps({"error": f"{type(e).__name__}: {e}"}))
