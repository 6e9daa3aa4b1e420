// Calls of the server's API, with the caller's token.
import { state, update } from "./state.mjs";

export class Refused extends Error {
  constructor(status, error) {
    super(error.message || `the server answered ${status}`);
    this.status = status;
    this.code = error.code || "";
  }
}

export const get = (path) => answered(path, {});
export const post = (path, body, signal) => answered(path, posting(body, signal));

// Yields the events of a stream as [name, data]; ends with an error that the stream sends.
export async function* events(path, body, signal) {
  const response = await sent(path, posting(body, signal));
  for await (const block of blocks(response.body)) {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(block) || [];
    if (name === "error") throw new Refused(200, JSON.parse(data).error);
    if (name) yield [name, JSON.parse(data)];
  }
}

async function* blocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    yield* parts;
  }
}

function posting(body, signal) {
  const headers = { "content-type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body), signal };
}

async function answered(path, options) {
  return (await sent(path, options)).json();
}

async function sent(path, options) {
  const headers = { ...options.headers };
  if (state.token) headers.authorization = `Bearer ${state.token}`;
  let response;
  try {
    response = await fetch(`/api/${path}`, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { message: "The server cannot be reached." });
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) update({ tokenAsked: true });
  throw new Refused(response.status, told.error || {});
}
