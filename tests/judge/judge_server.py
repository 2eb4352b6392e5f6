"""A small OpenAI-compatible server in a process of its own, with a judge that is good or is not.

    python judge_server.py --log requests.jsonl --words words.txt --judge good

It prints its port and serves until it is killed. Every request leaves one line in the log: its
number, time, the hash of its messages, and what became of it; `answered` only once a whole good
answer was sent. Faults are given by the number of the request: `--faults '{"3": "429"}'`.

Judges: `right` (knows the documents: how an opening goes on, else the more known words the better),
`inverted`, `first` (always the text shown first; its marks are right), `longer`, `tie`; and those
that know no more than noise: `noise-then-first`, `noise-then-coin`, `noise-then-longer`.
"""

import argparse
import hashlib
import json
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--judge", default="right")
    parser.add_argument("--faults", type=json.loads, default={})
    parser.add_argument("--always", help="one fault for every request")
    parser.add_argument("--refuse", default="", help="parts of the request that are refused")
    parser.add_argument("--refusal", default="400", help="status; 'mute' for 400 without a reason")
    parser.add_argument("--stall-after", type=int, help="answers, while --stall-file exists")
    parser.add_argument("--stall-file", type=Path)
    parser.add_argument("--content", choices=["after-thinking", "parts"])
    parser.add_argument("--echo-key", action="store_true")
    parser.add_argument("--delay", type=float, default=0.0)
    return parser.parse_args()


OPTIONS = parse()
DOCUMENTS = json.loads(OPTIONS.documents.read_text(encoding="utf-8"))
WORDS = set(re.findall(r"[^\W\d_]+", " ".join(DOCUMENTS).lower()))
LOCK = threading.Lock()
COUNTS = {"requests": 0, "answered": 0, "in_flight": 0, "most_in_flight": 0}


def log(**line):
    with LOCK, OPTIONS.log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def known(text):
    words = re.findall(r"[^\W\d_]+", text.lower())
    return sum(word in WORDS for word in words) / len(words) if words else 0.0


def goodness(opening, text):
    """From 0 to 1."""
    if OPTIONS.judge.startswith("noise-then"):
        return float(known(text) > 0.25)
    goes_on = any(opening + text in document for document in DOCUMENTS)
    good = (known(text) + goes_on) / 2
    return 1 - good if OPTIONS.judge == "inverted" else good


def coin(words):
    return "AB"[hashlib.sha256(words.encode()).digest()[0] % 2]


def answer(words):
    def shown(tag):
        return re.search(f"<{tag}>(.*?)</{tag}>", words, re.DOTALL)

    opening = shown("abertura")[1]
    if (one := shown("texto")) is not None:
        mark = round(5 * goodness(opening, one[1]))
        marks = {"relevancia": mark, "coerencia": mark, "estilo": mark}
        return {"observacoes": "é assim", **marks}
    texts = shown("texto_a")[1], shown("texto_b")[1]
    a, b = (goodness(opening, text) for text in texts)
    choice = "A" if a > b else "B" if b > a else "empate"
    longer = "A" if len(texts[0]) >= len(texts[1]) else "B"
    if choice == "empate" and OPTIONS.judge.startswith("noise-then"):
        rest = OPTIONS.judge.removeprefix("noise-then-")
        choice = {"first": "A", "coin": coin(words), "longer": longer}[rest]
    if OPTIONS.judge in ("first", "longer", "tie"):
        choice = {"first": "A", "longer": longer, "tie": "empate"}[OPTIONS.judge]
    return {"observacoes": "é assim", "preferencia": choice}


def as_content(text):
    """The answer as some servers give it: behind thinking, or in parts."""
    if OPTIONS.content == "after-thinking":
        return f"O primeiro faz mais sentido.\n</think>\n\n{text}"
    if OPTIONS.content == "parts":
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
        return [thought, *({"type": "text", "text": part} for part in (text[:9], text[9:]))]
    return text


def refused(body):
    form = (body.get("response_format") or {}).get("type")
    parts = {form, *body}
    return next((part for part in OPTIONS.refuse.split(",") if part and part in parts), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with LOCK:
            COUNTS["requests"] += 1
            number = COUNTS["requests"]
            COUNTS["in_flight"] += 1
            COUNTS["most_in_flight"] = max(COUNTS["most_in_flight"], COUNTS["in_flight"])
        try:
            self.handle_question(number, body)
        finally:
            with LOCK:
                COUNTS["in_flight"] -= 1

    def handle_question(self, number, body):
        words = "\n".join(message["content"] for message in body["messages"])
        question, again, _ = words.partition("\n\nA resposta anterior")
        line = {
            "n": number,
            "time": time.time(),
            "question": hashlib.sha256(question.encode()).hexdigest(),
            "again": bool(again),
            "path": self.path,
            "parameters": sorted(body),
            "most_in_flight": COUNTS["most_in_flight"],
        }
        fault = OPTIONS.always or OPTIONS.faults.get(str(number))
        if part := refused(body):
            said = "bad request" if OPTIONS.refusal == "mute" else f"{part} is not supported here"
            status = 400 if OPTIONS.refusal == "mute" else int(OPTIONS.refusal)
            self.send(status, {"error": {"message": said}})
            log(**line, outcome=f"refused {part}")
        elif fault:
            log(**line, outcome=fault)
            self.fail(fault)
        elif self.stalls():
            log(**line, outcome="stalled")
            while OPTIONS.stall_file.exists():
                time.sleep(0.02)
            self.drop()
        else:
            time.sleep(OPTIONS.delay)
            self.complete(as_content(json.dumps(self.marked(answer(words)), ensure_ascii=False)))
            log(**line, outcome="answered")
            with LOCK:
                COUNTS["answered"] += 1

    def stalls(self):
        if OPTIONS.stall_after is None or not OPTIONS.stall_file.exists():
            return False
        return COUNTS["answered"] >= OPTIONS.stall_after

    def marked(self, given):
        if OPTIONS.echo_key:
            given["observacoes"] += f" {self.headers['authorization']}"
        return given

    def complete(self, content, finish="stop", **message):
        self.send(
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": finish,
                        "message": {"role": "assistant", "content": content, **message},
                    }
                ],
                "usage": {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340},
            },
        )

    def fail(self, fault):
        key = f" {self.headers['authorization']}" if OPTIONS.echo_key else ""
        error = {"error": {"message": f"no{key}"}}
        if fault == "429":
            self.send(429, error, {"retry-after": "1"})
        elif fault == "429-long":
            self.send(429, error, {"retry-after": "86400"})
        elif fault.isdigit():
            self.send(int(fault), error)
        elif fault == "quota":
            self.send(429, {"error": {"message": "no money", "code": "insufficient_quota"}})
        elif fault == "hang":
            time.sleep(3)
            self.drop()
        elif fault == "reset":
            self.drop(reset=True)
        elif fault == "cut":
            self.send(200, {"choices": []}, {"content-length": "5000"})
            self.drop()
        elif fault == "malformed":
            self.complete(f"Prefiro o A, sem dúvida.{key}")
        elif fault == "wrong":
            self.complete(json.dumps({"preferencia": "C", "relevancia": 7, "nota": key}))
        elif fault == "length":
            self.complete('{"observacoes": "era uma', finish="length")
        elif fault == "page":
            self.send_page()
        elif fault == "empty":
            self.complete("")
        elif fault == "declines":
            self.complete(None, refusal="Não posso avaliar isso.")
        elif fault == "only-thinking":
            self.complete(None, reasoning_content="A é melhor, logo...")
        elif fault == "error-200":
            self.send(200, {"error": "Unexpected endpoint or method."})
        elif fault == "unknown-model":
            self.send(400, {"error": {"message": "j is not a valid model ID", "code": 400}})
        else:
            raise ValueError(fault)

    def send(self, status, value, headers=None):
        data = json.dumps(value).encode()
        self.send_response(status)
        headers = {"content-type": "application/json", "content-length": str(len(data))} | (
            headers or {}
        )
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def send_page(self):
        data = b"<html>Sign in</html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def drop(self, reset=False):
        if reset:  # RST instead of FIN
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        self.close_connection = True


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
