/** A client of Holdfast: `client(url, token)` has every operation of the OpenAPI document, with its types. */
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./api.js";

export type { components, operations, paths } from "./api.js";
export * from "./outbox.js";

/** The bodies of requests and answers, by their names in the OpenAPI document. */
export type Models = components["schemas"];

/** A client for the service at `url`. `token`: an access token, or what gives one for each request. */
export function client(url: string, token?: string | (() => string)): Client<paths> {
  const made = createClient<paths>({ baseUrl: url });
  made.use({
    onRequest({ request }) {
      const given = typeof token === "function" ? token() : token;
      if (given !== undefined) request.headers.set("Authorization", `Bearer ${given}`);
      return request;
    },
  });
  return made;
}
