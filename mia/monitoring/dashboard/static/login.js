const form = document.getElementById("login");
const said = document.getElementById("said");

async function logIn(token) {
  const answer = await fetch("/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (answer.ok) location.replace("/");
  else said.textContent = (await answer.json()).error;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(document.getElementById("token").value.trim());
});

// The fragment never leaves the browser, so the token is in no log of a server or proxy.
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, "", "/login");
  logIn(token);
}
