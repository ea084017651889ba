// What is chosen is shown at once, and the lines for the config can be copied.

const form = document.querySelector(".choose");
form.querySelector(".submit").hidden = true;
form.addEventListener("change", () => form.requestSubmit());

// Only where the browser trusts the page: over TLS, or on the machine itself.
const copy = document.querySelector("#copy");
if (copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector("#lines").textContent);
    copy.textContent = "Copied";
  });
}
