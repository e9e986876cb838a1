"""An example of a receiver of alerts: prints each one that Alertmanager posts.

Run: python compose/prometheus/receiver.py [PORT], by default 9095, where alertmanager.yml posts to.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Answers POST requests of Alertmanager's webhook."""

    def do_POST(self) -> None:
        """Print one line per alert: status, severity and name; of a firing one, summary and runbook, too."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for alert in body["alerts"]:
            labels, notes = alert["labels"], alert["annotations"]
            facts = [alert["status"].upper(), labels.get("severity", ""), labels["alertname"]]
            if alert["status"] == "firing":  # a resolved one repeats its last summary
                facts += [notes.get("summary", ""), notes.get("runbook_url", "")]
            sys.stdout.write(" ".join(facts) + "\n")
        sys.stdout.flush()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log no requests."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9095), Receiver).serve_forever()
