// What a token's probability says: surprisal in bits, its step on the scale of colours, and the
// cells of text that a reader can click. A cell is one token, or the few tokens whose bytes make one
// character; the text of a token that waited for its neighbours arrives with the last of them.

const encoder = new TextEncoder();

/** Where one step of the scale of colours ends and the next begins, in bits. */
export const LEVEL_BITS = [1, 2, 4, 8];

/** How many of the most probable tokens the page asks for. */
export const ALTERNATIVES = 10;

/** Surprisal in bits of a natural logarithm of a probability; null when there is none. */
export function bitsOf(logprob) {
  return Number.isFinite(logprob) ? Math.max(0, -logprob / Math.LN2) : null;
}

/** The step of the scale for a number of bits: 0 (expected) to 4 (8 bits or more). */
export function levelOf(bits) {
  return bits === null ? 0 : LEVEL_BITS.filter((edge) => bits >= edge).length;
}

/** Bytes of a text in UTF-8. */
export function utf8Bytes(text) {
  return encoder.encode(text).length;
}

/**
 * The most probable tokens, best first, with the chosen one among them or behind them.
 * @param {Object<string, number>} top token → logarithm of its probability; the service adds the
 *   chosen one where it is not among those that were asked for
 * @param {string} token the one that was chosen
 * @param {number|null} logprob its own
 * @param {number} asked for how many
 * @returns {{rows: {token: string, share: number, chosen: boolean}[], rank: number|null}}
 *   rank: of the chosen one, 1 for the most probable; null when it is not among those asked for
 */
export function alternativesOf(top, token, logprob, asked = ALTERNATIVES) {
  const rows = Object.entries(top ?? {})
    .map(([text, value]) => ({ token: text, share: Math.exp(value), chosen: text === token }))
    .sort((a, b) => b.share - a.share); // an object puts keys such as "1" first, whatever came first
  const place = rows.findIndex((row) => row.chosen);
  if (place < 0 && Number.isFinite(logprob)) {
    rows.push({ token, share: Math.exp(logprob), chosen: true });
  }
  return { rows, rank: place < 0 || place >= asked ? null : place + 1 };
}

/** The text of one answer as cells, with the sums that the page shows. */
export class Cells {
  /** @type {{text: string, tokens: object[], bits: number|null, end: boolean}[]} */
  list = [];
  text = "";
  tokens = 0;
  #waiting = [];

  /**
   * Take one chunk of the stream.
   * @param {{text: string, logprobs?: object|null, finish_reason?: string|null}} choice
   * @returns {object[]} the cells that it completed
   */
  push(choice) {
    const text = choice.text ?? "";
    const tokens = tokensOf(choice.logprobs);
    this.tokens += tokens.length;
    this.text += text;
    const whole = !this.#waiting.length && tokens.map((each) => each.token).join("") === text;
    if (whole && tokens.length) {
      return tokens.map((token) => this.#add(token.token, [token]));
    }
    this.#waiting.push(...tokens);
    if (text !== "") return [this.#add(text, this.#waiting.splice(0))];
    if (choice.finish_reason && this.#waiting.length) return [this.#add("", this.#waiting.splice(0))];
    return [];
  }

  /** Bits per byte of the text up to a cell (that one included); null while there are none. */
  bitsPerByte(upTo = this.list.length - 1) {
    const cells = this.list.slice(0, upTo + 1);
    const bytes = cells.reduce((sum, cell) => sum + utf8Bytes(cell.text), 0);
    if (!bytes || cells.some((cell) => cell.bits === null)) return null;
    return cells.reduce((sum, cell) => sum + cell.bits, 0) / bytes;
  }

  #add(text, tokens) {
    const known = tokens.length > 0 && tokens.every((token) => token.bits !== null);
    const bits = known ? tokens.reduce((sum, token) => sum + token.bits, 0) : null;
    const cell = { text, tokens, bits, end: text === "" };
    this.list.push(cell);
    return cell;
  }
}

/** The lists of a chunk's `logprobs`, turned into one object a token. */
function tokensOf(logprobs) {
  return (logprobs?.tokens ?? []).map((token, place) => {
    const logprob = logprobs.token_logprobs?.[place] ?? null;
    return { token, logprob, bits: bitsOf(logprob), top: logprobs.top_logprobs?.[place] ?? {} };
  });
}
