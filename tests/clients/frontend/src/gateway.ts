/** Where the gateway is: set `VITE_HOME_VISITS_URL` in `.env`. */
export const GATEWAY: string = import.meta.env["VITE_HOME_VISITS_URL"] ?? "http://127.0.0.1:8080/graphql";

/** What tells the gateway who asks: take it from where your sign-in keeps its token. */
export function credentials(): Record<string, string> {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}
