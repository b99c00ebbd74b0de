#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server for the tests of downloads: serves one file in all the ways in which servers go wrong.

It listens on a free port of 127.0.0.1, prints the port, and ends when its standard input does. The folder of a path
says what happens, and every folder counts its own requests; the file's name behind it doesn't matter:

  /ok/f           the file, with Range and If-Range       /plain/f     without Range, ETag or date
  /date/f         a date and no ETag                      /weak/f      a weak ETag only
  /changed/f      another ETag for every request          /lies/f      206, but not of the range asked for
  /cut-N/f        the first N answers end half-way        /always-cut/f  every answer brings no byte of the body
  /busy-N/f       the first N answers are 503             /status-N/f  answers with status N
  /redirect-N/f   N redirects, then the file              /loop/f      redirects to itself
  /to-http/f      redirects to the address --elsewhere    /slow/f      100 bytes of the file, then nothing
  /trickle/f      the file, slowly                        /endless/f   announces no size and never ends
  /long/f         announces the size and sends more       /huge-N/f    announces N bytes
  /unsized/f      announces no size                       /unsized-cut/f  likewise, and ends half-way once
  /big-error/f    404 with a page that never ends
  /requests       the requests so far, a line each: path, Range, If-Range
"""

import argparse
import http.server
import re
import ssl
import sys
import threading

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--tls", metavar="CERTIFICATE_AND_KEY")
parser.add_argument("--elsewhere", default="")
arguments = parser.parse_args()
with open(arguments.file, "rb") as opened:
    BODY = opened.read()
SLEEP = threading.Event()  # set at the end, so that nobody sleeps on
requests, counts, lock = [], {}, threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        try:
            self.serve()
        except OSError:
            self.close_connection = True

    def serve(self):
        if self.path == "/requests":
            text = "".join(line + "\n" for line in requests).encode()
            return self.answer(200, {"Content-Length": len(text)}, text)
        folder = self.path.split("/")[1]
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        with lock:
            requests.append(f"{self.path} {wanted} {condition}")
            count = counts[folder] = counts.get(folder, 0) + 1
        kind, _, number = re.match(r"([a-z-]+?)(-(\d+))?$", folder).groups()
        number = int(number or 0)

        etag = {"changed": f'"{count}"', "weak": 'W/"1"', "plain": None, "date": None}.get(kind, '"version 1"')
        date = None if kind == "plain" else "Wed, 01 Nov 2023 00:00:00 GMT"
        headers = {"ETag": etag} if etag else {}
        if date and kind != "weak":
            headers["Last-Modified"] = date
        begin = 0
        if wanted and kind != "plain" and condition in (etag, date):
            begin = int(re.match(r"bytes=(\d+)-$", wanted).group(1))
        if begin >= len(BODY):
            return self.answer(416, {"Content-Range": f"bytes */{len(BODY)}", "Content-Length": 0})
        shift = 1 if kind == "lies" else 0
        if begin > 0:
            headers["Content-Range"] = f"bytes {begin + shift}-{len(BODY) - 1}/{len(BODY)}"
        status, body = (206 if begin > 0 else 200), BODY[begin:]
        headers["Content-Length"] = len(body)

        half = body[:len(body) // 2]
        if kind in ("cut", "lies", "changed", "date", "weak", "plain"):
            cut = count <= number
        else:
            cut = kind == "always-cut" or (kind == "unsized-cut" and count == 1)
        if kind == "status":
            self.answer(number, {"Content-Length": 4}, b"page")
        elif kind == "busy" and count <= number:
            self.answer(503, {"Content-Length": 4}, b"busy")
        elif kind == "redirect" and number > 0:
            self.answer(302, {"Location": f"../redirect-{number - 1}/f", "Content-Length": 5}, b"there")
        elif kind == "loop":
            self.answer(301, {"Location": self.path, "Content-Length": 0})
        elif kind == "to-http":
            self.answer(302, {"Location": arguments.elsewhere, "Content-Length": 0})
        elif kind == "big-error":
            self.answer(404, {})
            self.endless()
        elif kind == "endless":
            self.answer(200, {"Connection": "close"})
            self.endless()
        elif kind == "huge":
            self.answer(200, {"Content-Length": number})
            self.endless()
        elif kind == "long":
            self.answer(200, {"Transfer-Encoding": "chunked"})
            piece = BODY + BODY
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n0\r\n\r\n")
        elif kind == "unsized" or kind == "unsized-cut":
            del headers["Content-Length"]
            self.answer(status, headers | {"Connection": "close"}, half if cut else body)
            self.close_connection = True
        elif kind == "slow":
            self.answer(status, headers, body[:100])
            SLEEP.wait(60)
            self.close_connection = True
        elif kind == "trickle":
            self.answer(status, headers)
            for at in range(0, len(body), 4000):
                self.wfile.write(body[at:at + 4000])
                if SLEEP.wait(0.02):
                    break
        elif cut:
            self.answer(status, headers, b"" if kind == "always-cut" else half)
            self.close_connection = True
        else:
            self.answer(status, headers, body)

    def endless(self):
        while not SLEEP.is_set():
            self.wfile.write(bytes(65536))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if arguments.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.tls)
    # Each connection's handshake in its own thread, or one that fails would end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.daemon_threads = True
server.handle_error = lambda *_: None
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
SLEEP.set()
