// Keeps the organiser's page up to date: the table of the page itself, asked for anew.

const EVERY_MS = 5000;

async function renew() {
  const main = document.getElementById("progress");
  if (document.hidden || main.querySelector("details[open]")) return; // somebody is about to close the study
  const answer = await fetch("./", { cache: "no-store" });
  if (!answer.ok) throw new Error(`the server says ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  main.replaceWith(page.getElementById("progress"));
}

async function keepRenewing() {
  const note = document.createElement("p");
  note.className = "problem";
  note.setAttribute("role", "status");
  for (;;) {
    await new Promise((done) => setTimeout(done, EVERY_MS));
    try {
      await renew();
      note.remove();
    } catch (error) {
      note.textContent = `The server does not answer; what you see may be old. (${error.message})`;
      document.body.prepend(note);
    }
  }
}

keepRenewing();
