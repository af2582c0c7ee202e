import { describe, expect, it, vi } from "vitest";
import { request } from "./api";

describe("request", () => {
  it("puts parameters into path and query", async () => {
    const asked = vi.fn((_path: string, _init: RequestInit) => Promise.resolve(Response.json([])));
    vi.stubGlobal("fetch", asked);
    await request("get", "/conversations/{id}/messages", { path: { id: "a/b" }, query: { limit: 5, before: undefined } });
    expect(asked).toHaveBeenCalledWith("/api/v1/conversations/a%2Fb/messages?limit=5", { method: "GET" });
    await request("patch", "/me", { body: { display_name: "Ann" } });
    expect(asked.mock.calls[1]?.[1]).toMatchObject({ method: "PATCH", body: '{"display_name":"Ann"}' });
  });
  it("is typed by the description", () => {
    // @ts-expect-error no such operation
    void (() => request("get", "/nothing"));
    // @ts-expect-error it is answered to another method
    void (() => request("post", "/audit"));
    // @ts-expect-error a parameter is missing
    void (() => request("get", "/meetings/{number}"));
    // @ts-expect-error a field is missing
    void (() => request("post", "/login", { body: { user: "ann" } }));
    // @ts-expect-error the answer has no such field
    void (async () => (await request("get", "/me")).nothing);
  });
});
