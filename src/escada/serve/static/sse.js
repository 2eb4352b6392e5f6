// Server-sent events from text that arrives cut anywhere: in the middle of a line, even between the
// two characters of a line's end. The browser's own EventSource cannot send a POST.

/** Collects text and hands out the data of every event that is whole. */
export class SseParser {
  #rest = "";
  #data = [];

  /**
   * @param {string} text what arrived now
   * @returns {string[]} the data of the events that it completes
   */
  push(text) {
    const events = [];
    this.#rest += text;
    for (;;) {
      const end = /\r\n|\n|\r/.exec(this.#rest);
      if (!end) break;
      const at = end.index;
      // A carriage return at the very end may have its line feed still to come.
      if (end[0] === "\r" && at === this.#rest.length - 1) break;
      const line = this.#rest.slice(0, at);
      this.#rest = this.#rest.slice(at + end[0].length);
      if (line === "") {
        if (this.#data.length) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line === "data" || line.startsWith("data:")) {
        this.#data.push(line.slice(5).replace(/^ /, ""));
      } // comments (": keep-alive") and other fields say nothing that the page needs
    }
    return events;
  }
}

/**
 * The data of each event of a streamed response.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string>}
 */
export async function* serverEvents(body) {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = done ? `${decoder.decode()}\n\n` : decoder.decode(value, { stream: true });
      yield* parser.push(text);
      if (done) return;
    }
  } finally {
    reader.releaseLock();
  }
}
