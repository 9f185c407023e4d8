"""Tells a chat of alerts: python alert_bot.py PORT, with the webhook's secret in the variable WEBHOOK_SECRET.

It needs `pip install standardwebhooks`. It receives the webhook `alert.raised`, and writes a line for each alert, which
a chat's own library would post. What it is sent holds ids and no values; the line leads to the alert, which only who
may read it sees. An event that comes twice, with the same `webhook-id`, makes one line. It answers once the line is
written: an event that is not acknowledged comes again.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Bot(BaseHTTPRequestHandler):
    """Takes signed events alone."""

    secret = ""
    seen: set[str] = set()  # noqa: RUF012 - of all requests; a real one keeps them for two days

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = Webhook(self.secret).verify(body, headers)
        except (WebhookVerificationError, ValueError):  # the second of a signature that is none
            self.send_response(401)
            self.end_headers()
            return
        if event["type"] == "alert.raised" and headers["webhook-id"] not in self.seen:
            data = event["data"]
            print(f"Alert {data['alert_id']} was raised: /v1/alerts?patient_id={data['patient_id']}", flush=True)
            self.seen.add(headers["webhook-id"])
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    Bot.secret = os.environ["WEBHOOK_SECRET"]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Bot).serve_forever()
