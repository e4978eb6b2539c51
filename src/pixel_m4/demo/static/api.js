// The server's JSON API. Of several requests for one purpose only the last counts: the others are given up.

const running = new Map();
const WAITS = [500, 1000, 2000]; // milliseconds, where the server has enough to do

export class GivenUp extends Error {}

export async function info() {
  return (await fetch("api/info")).json();
}

// Ask about one text; `purpose` names what the answer is for.
export async function ask(endpoint, text, options = {}, purpose = endpoint) {
  running.get(purpose)?.abort();
  const mine = new AbortController();
  running.set(purpose, mine);
  try {
    return await send(endpoint, { texts: [text], ...options }, mine.signal);
  } catch (error) {
    if (mine.signal.aborted) throw new GivenUp();
    throw error;
  } finally {
    if (running.get(purpose) === mine) running.delete(purpose);
  }
}

// Wait for nothing any more.
export function giveUp() {
  for (const each of running.values()) each.abort();
}

async function send(endpoint, body, signal) {
  for (const wait of [...WAITS, null]) {
    const answer = await fetch(`api/${endpoint}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (answer.status === 429 && wait !== null) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (signal.aborted) throw new GivenUp();
      continue;
    }
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    return said.results[0];
  }
}
