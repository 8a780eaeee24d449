// Questions to the server. An answer that is no success becomes an error with the server's words.

export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Refusal("The server does not answer: is dream.py still running?", 0);
  }
  const body = await response.json();
  if (!response.ok) throw new Refusal(body.error, response.status);
  return body;
}

export const get = (path) => answer(fetch(path));

export const post = (path, body) =>
  answer(
    fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }),
  );
