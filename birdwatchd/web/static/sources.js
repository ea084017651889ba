// How the station does, anew every ten seconds, while somebody looks.

const AGAIN_MS = 10_000;
const shown = document.getElementById("main");

async function lookAgain() {
  if (document.hidden || shown.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    if (fresh) shown.replaceChildren(...fresh.childNodes);
  } catch {
    // What is shown is of before.
    document.getElementById("away").hidden = false;
  }
}

setInterval(lookAgain, AGAIN_MS);
document.addEventListener("visibilitychange", lookAgain);
