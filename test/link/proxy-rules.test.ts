import { describe, expect, test } from "vitest";
import { parseNoProxy } from "../../src/link/no-proxy.ts";
import { chooseProxy } from "../../src/link/proxy.ts";

describe("NO_PROXY by Go's rules", () => {
  test.each<[string, string, number, boolean]>([
    ["", "example.com", 443, false],
    ["*", "example.com", 443, true],
    ["example.com", "example.com", 443, true],
    ["example.com", "a.example.com", 443, true],
    ["example.com", "notexample.com", 443, false],
    ["EXAMPLE.com", "a.Example.COM", 443, true],
    [".example.com", "example.com", 443, false],
    [".example.com", "a.example.com", 443, true],
    ["*.example.com", "a.example.com", 443, true],
    ["*.example.com", "example.com", 443, false],
    ["example.com:8443", "example.com", 443, false],
    ["example.com:8443", "a.example.com", 8443, true],
    [" a.com , b.com ", "b.com", 443, true],
    ["10.0.0.0/8", "10.1.2.3", 443, true],
    ["10.0.0.0/8", "11.1.2.3", 443, false],
    ["10.0.0.0/99", "10.1.2.3", 443, false],
    ["10.1.2.3", "10.1.2.3", 443, true],
    ["10.1.2.3:80", "10.1.2.3", 443, false],
    ["10.1.2.3:443", "10.1.2.3", 443, true],
    ["10.0.0.0/8", "ten.example.com", 443, false],
    ["fd00::/8", "fd00::1", 443, true],
    ["[fd00::1]:443", "fd00::1", 443, true],
    ["[fd00::1]:80", "fd00::1", 443, false],
    [":8080", "example.com", 8080, false],
    ["", "localhost", 443, true],
    ["", "127.0.0.9", 443, true],
    ["", "::1", 443, true],
    ["", "localhost.example.com", 443, false],
  ])("%j, host %s, port %d: bypass %s", (text, host, port, expected) => {
    expect(parseNoProxy(text)(host, port)).toBe(expected);
  });
});

describe("which proxy", () => {
  const target = new URL("https://coder.example.com");
  const choose = (url: string | URL, env: Record<string, string>) => chooseProxy(new URL(url), env)?.url.href;

  test("HTTPS_PROXY for https and wss, HTTP_PROXY for http and ws", () => {
    const env = { HTTPS_PROXY: "http://s:1", HTTP_PROXY: "http://p:2" };
    expect(choose("https://a.com", env)).toBe("http://s:1/");
    expect(choose("wss://a.com", env)).toBe("http://s:1/");
    expect(choose("http://a.com", env)).toBe("http://p:2/");
    expect(choose("ws://a.com", env)).toBe("http://p:2/");
    expect(choose("https://a.com", { HTTP_PROXY: "http://p:2" })).toBeUndefined();
  });

  test("upper case wins; lower case counts; an empty value is none; a bare host means http", () => {
    expect(choose(target, { HTTPS_PROXY: "http://a:1", https_proxy: "http://b:1" })).toBe("http://a:1/");
    expect(choose(target, { HTTPS_PROXY: "", https_proxy: "b:1" })).toBe("http://b:1/");
    expect(choose(target, { HTTPS_PROXY: " " })).toBeUndefined();
  });

  test("NO_PROXY in either case, with the default port of the scheme", () => {
    expect(choose(target, { HTTPS_PROXY: "http://a:1", no_proxy: "example.com" })).toBeUndefined();
    expect(choose(target, { HTTPS_PROXY: "http://a:1", NO_PROXY: "example.com:443" })).toBeUndefined();
    expect(choose(target, { HTTPS_PROXY: "http://a:1", NO_PROXY: "example.com:80" })).toBe("http://a:1/");
    expect(choose("https://[::1]:3000", { HTTPS_PROXY: "http://a:1" })).toBeUndefined();
  });

  test.each(["socks5://user:hidden@p:1080", "socks5h://p:1080", "http://", "ftp://p"])(
    "%s in https_proxy is an error of the start that names the variable and shows no value",
    (value) => {
      const error = (() => {
        try {
          chooseProxy(target, { https_proxy: value });
        } catch (thrown) {
          return thrown as { code: string; message: string; reason: string; cure: string };
        }
        throw new Error("was accepted");
      })();
      expect(error.code).toBe("OUT-PROXY");
      expect(error.message).toContain("https_proxy");
      expect(`${error.message}${error.reason}${error.cure}`).not.toContain("hidden");
    },
  );

  test("a proxy that isn't used for the deployment is no error", () => {
    expect(chooseProxy(new URL("https://localhost"), { HTTPS_PROXY: "socks5://p:1" })).toBeUndefined();
  });

  test("HTTP_PROXY is no setting inside a CGI program", () => {
    expect(choose("http://a.com", { HTTP_PROXY: "http://p:2", REQUEST_METHOD: "GET" })).toBeUndefined();
  });
});
