// What the page asks of the server. An answer is kept until the server says that it is on disk.

import { kept } from "./kept.js";

const LONGEST_MS = 20000;
const AGAIN_MS = 5000;
const KEPT = "answer";

const tab = kept("session");
const dialog = () => document.getElementById("away");

function showAway(sentence) {
  document.getElementById("away-said").textContent = sentence;
  document.getElementById("away-kept").textContent =
    (tab.get(KEPT) ? "Your answer is kept in this tab and is sent as soon as the study answers again. " : "Nothing is lost. ") +
    "The page also tries by itself every few seconds.";
  if (!dialog().open) dialog().showModal();
}

function whenToTryAgain() {
  return new Promise((resolve) => {
    setTimeout(resolve, AGAIN_MS);
    document.getElementById("away-again").addEventListener("click", resolve, { once: true });
  });
}

async function once(path, options) {
  const reply = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(LONGEST_MS), ...options });
  const isJson = (reply.headers.get("content-type") ?? "").startsWith("application/json");
  const body = isJson ? await reply.json() : await reply.arrayBuffer();
  return { status: reply.status, body };
}

/** A fault of the server, or a request that came too slowly: the same again may go well. */
const isTrouble = (status) => status >= 500 || status === 408;

const waiting = new Set(); // requests that wait to be tried again

function isThrough(request) {
  waiting.delete(request);
  if (!waiting.size) dialog().close();
}

/** Asks until there is an answer that is not the server's own trouble. */
async function ask(path, options = {}, isWhole = () => true) {
  const request = {};
  for (;;) {
    let sentence = "The server does not answer. It may be restarting, or the network is down.";
    try {
      const reply = await once(path, options);
      if (!isTrouble(reply.status) && isWhole(reply)) {
        isThrough(request);
        return reply;
      }
      const fault = reply.status === 200 ? "An image came incomplete." : `The server has a fault (${reply.status}).`;
      sentence = reply.body.error ?? fault;
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError)) throw error;
    }
    waiting.add(request);
    showAway(sentence);
    await whenToTryAgain();
  }
}

function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

/** What went wrong for good, in the server's words. */
export class Refused extends Error {}

function stateOf({ status, body }) {
  if (status === 200) return body;
  if (body.state) return { ...body.state, elsewhere: status === 409 };
  throw new Refused(status === 404 ? "This link opens nothing. Ask for a new one." : body.error ?? `Refused (${status}).`);
}

export async function askState() {
  return stateOf(await ask("state"));
}

/** The bytes of an image; null where the trial is no longer the one to answer. */
export async function askImage(path, size) {
  const whole = ({ status, body }) => status !== 200 || body.byteLength === size;
  const { status, body } = await ask(path, {}, whole);
  return status === 200 ? body : null;
}

export async function sendEvent(kind, detail = {}) {
  return stateOf(await post("event", { kind, detail }));
}

/** Sends an answer, and sends it again after whatever happens to the server, the network or this tab. */
export async function sendAnswer(answer) {
  tab.set(KEPT, answer);
  const reply = await post("answer", answer);
  tab.drop(KEPT);
  return stateOf(reply);
}

/** The answer that an earlier page of this tab could not send. */
export function keptAnswer() {
  return tab.get(KEPT);
}
