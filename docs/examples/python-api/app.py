"""A service that answers `GET /` with a greeting and who it runs as, as JSON."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def answer() -> dict:
    return {"greeting": os.environ.get("GREETING", ""), "user": os.getuid()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(answer()).encode()
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if "--check" in sys.argv:
        print(json.dumps(answer()))
    else:
        HTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
