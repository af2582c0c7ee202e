package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/store"
)

// from sends a request from an address, with cookies.
func (d *desk) from(source, method, path, body string, cookies ...*http.Cookie) *http.Response {
	d.t.Helper()
	req := httptest.NewRequest(method, "https://meet.example.org/api/v1"+path, strings.NewReader(body))
	req.RemoteAddr = source + ":40000"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	for _, c := range cookies {
		req.AddCookie(c)
	}
	w := httptest.NewRecorder()
	d.server.Config.Handler.ServeHTTP(w, req)
	return w.Result()
}

// signIn tries a password from an address.
func (d *desk) signIn(source, user, password string, cookies ...*http.Cookie) *http.Response {
	d.t.Helper()
	return d.from(source, "POST", "/login", fmt.Sprintf(`{"user":%q,"password":%q}`, user, password), cookies...)
}

func known(r *http.Response) (list []*http.Cookie) {
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, knownCookie) {
			list = append(list, c)
		}
	}
	return list
}

const goodPassword, badPassword = "a good password", "a wrong password"

// few makes tests of throttling short: these many wrong ones are too many from
// one source, and for one account.
func (d *desk) few() (perSource, perAccount int) {
	d.api.logins.Set(4, 9, wrongWindow)
	return 4, 9
}

func address(n int) string { return fmt.Sprintf("198.51.%d.%d", 100+n/250, n%250) }

// Wrong passwords are throttled per source first, then per account, and the
// owner's own browser passes the latter; accounts that are not there are
// throttled the same way.
func TestSignInIsThrottledPerSourceThenPerAccount(t *testing.T) {
	for _, user := range []string{"user@example.org", "nobody@example.org"} {
		exists := user == "user@example.org"
		d := newDesk(t)
		perSource, perAccount := d.few()
		mine := known(d.signIn("192.0.2.1", "user@example.org", goodPassword))
		if len(mine) != 1 || !mine[0].HttpOnly || !mine[0].Secure || mine[0].SameSite != http.SameSiteStrictMode || mine[0].Expires.Before(time.Now().AddDate(0, 2, 0)) {
			t.Fatalf("marks of a browser that signed in: %v", mine)
		}
		if text := fmt.Sprint(mine[0]); strings.Contains(text, d.ids[store.RoleUser]) || strings.Contains(text, "example") {
			t.Errorf("the mark says whose it is: %s", text)
		}
		for i := range perSource {
			if s := d.signIn("203.0.113.1", user, badPassword).StatusCode; s != 401 {
				t.Fatalf("%s, try %d: %d", user, i, s)
			}
		}
		if r := d.signIn("203.0.113.1", "administrator@example.org", goodPassword); r.StatusCode != 429 || r.Header.Get("Retry-After") == "" {
			t.Errorf("the source that guessed: %d", r.StatusCode)
		}
		if s := d.signIn("203.0.113.2", "user@example.org", goodPassword).StatusCode; s != 200 {
			t.Errorf("another source, meanwhile: %d", s)
		}
		for i := range perAccount - perSource {
			if s := d.signIn(address(i), user, badPassword).StatusCode; s != 401 {
				t.Fatalf("%s, try %d from many sources: %d", user, i, s)
			}
		}
		if s := d.signIn("203.0.113.3", user, goodPassword).StatusCode; s != 429 {
			t.Errorf("%s from a source that has not tried: %d, want 429", user, s)
		}
		if s := d.signIn("203.0.113.3", "superuser@example.org", goodPassword, mine...).StatusCode; s != 200 {
			t.Errorf("another account, by the browser of the first: %d", s)
		}
		if s := d.signIn("203.0.113.4", "user@example.org", goodPassword, mine...).StatusCode; s != 200 {
			t.Errorf("the owner, by a browser that signed in before: %d", s)
		}
		forged := &http.Cookie{Name: mine[0].Name, Value: "zzzzzz.aaaaaaaaaaaaaaaaaaaaaaaaaa.00"}
		if s := d.signIn("203.0.113.5", user, goodPassword, forged).StatusCode; exists && s != 429 {
			t.Errorf("a forged mark: %d", s)
		}
		other := known(d.signIn("203.0.113.6", "superuser@example.org", goodPassword))
		renamed := &http.Cookie{Name: mine[0].Name, Value: other[0].Value}
		if s := d.signIn("203.0.113.6", "user@example.org", goodPassword, other[0], renamed).StatusCode; exists && s != 429 {
			t.Errorf("the mark of another account: %d", s)
		}
	}
}

// A known browser may not guess without end, either.
func TestKnownBrowserIsThrottledByItself(t *testing.T) {
	d := newDesk(t)
	perSource, _ := d.few()
	mine := known(d.signIn("192.0.2.1", "user@example.org", goodPassword))
	for i := range perSource {
		d.signIn(address(i), "user@example.org", badPassword, mine...)
	}
	if s := d.signIn("192.0.2.1", "user@example.org", goodPassword, mine...).StatusCode; s != 429 {
		t.Errorf("after %d wrong passwords: %d", perSource, s)
	}
	if s := d.signIn("192.0.2.2", "user@example.org", goodPassword).StatusCode; s != 200 {
		t.Errorf("without the mark: %d", s)
	}
}

// Neither the answer nor its time tells an account from none.
func TestSignInTellsNoAccountFromNone(t *testing.T) {
	d := newDesk(t)
	var took [3][]time.Duration
	users := []string{"user@example.org", "nobody@example.org", "disabled@example.org"}
	u, err := d.store.AddUser(t.Context(), store.User{Email: users[2], Role: store.RoleUser, Disabled: true}, goodPassword)
	if err != nil || !u.Disabled {
		t.Fatal(err)
	}
	for i := range 10 {
		for k, user := range users {
			start := time.Now()
			r := d.signIn(address(3*i+k), user, badPassword)
			took[k] = append(took[k], time.Since(start))
			var problem struct{ Detail string }
			if err := json.NewDecoder(r.Body).Decode(&problem); err != nil || r.StatusCode != 401 || problem.Detail != errPassword.Error() || len(r.Header["Set-Cookie"]) > 0 {
				t.Fatalf("%s: %d %+v, %v", user, r.StatusCode, problem, err)
			}
		}
	}
	// The shortest are least disturbed by what else the machine does. Without the
	// hash, an answer takes less than a tenth.
	least := func(k int) float64 { return float64(slices.Min(took[k])) }
	for k := range users[1:] {
		if ratio := least(k+1) / least(0); ratio < 0.4 || ratio > 2.5 {
			t.Errorf("%s takes %.2f times as long as an account", users[k+1], ratio)
		} else {
			t.Logf("%s takes %.2f times as long as an account", users[k+1], ratio)
		}
	}
}

// More passwords than can be hashed soon are refused, not queued.
func TestFloodOfSignInsIsShed(t *testing.T) {
	d := newDesk(t)
	codes := make(chan int, 200)
	for i := range cap(codes) {
		go func() {
			r := d.signIn(address(i), fmt.Sprint("u", i, "@example.org"), badPassword)
			if r.StatusCode == 503 && r.Header.Get("Retry-After") == "" {
				r.StatusCode = 0
			}
			codes <- r.StatusCode
		}()
	}
	got := map[int]int{}
	for range cap(codes) {
		got[<-codes]++
	}
	if got[401] == 0 || got[503] == 0 || got[401]+got[503] != cap(codes) {
		t.Errorf("answers: %v", got)
	}
	if s := d.signIn("192.0.2.1", "user@example.org", goodPassword).StatusCode; s != 200 {
		t.Errorf("after the flood: %d", s)
	}
}

func TestAgentsAreToldByKindOnly(t *testing.T) {
	for header, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0": "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36":         "Chrome on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/604.1":     "Safari on iOS",
		"curl/8.14.1": "a program", "": "a program",
	} {
		if got := agent(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
}
