"""The original way: FastAPI and uvicorn, one POST /predict per frame.

Gives: plain HTTP that any client speaks, and interactive documentation; no Redis at all.
"""

import sys

import uvicorn
from answering import Answering
from fastapi import FastAPI, Request, Response

app = FastAPI()
answer = Answering()


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Answer one frame."""
    body = await request.body()
    ((_, text),) = answer([(body[276:], body[:24], body[24:276])])
    return Response(text, media_type="application/json")


if __name__ == "__main__":
    # named, so that it does not run without them
    uvicorn.run(
        app, port=int(sys.argv[1]), log_level="error", access_log=False, loop="uvloop", http="httptools"
    )
