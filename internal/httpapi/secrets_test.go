package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sluice/internal/accounts"
)

// secrets are all passwords, tokens, e-mails and Idempotency-Keys that a house's tests have sent or
// been given. Every house is searched for them when its test ends: none may stand
// in its log or in any of its refusals.
type secrets struct {
	mu      sync.Mutex
	said    map[string]bool
	refused strings.Builder
}

// note takes down what is secret in a request and its answer.
func (s *secrets) note(request *http.Request, body string, r reply) {
	if s == nil { // a house without stores
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, header := range request.Header["Authorization"] {
		_, token, _ := strings.Cut(header, " ")
		s.add(token)
	}
	for _, key := range request.Header["Idempotency-Key"] { // who knows it can ask in another's place
		s.add(key)
	}
	var sent map[string]any
	_ = json.Unmarshal([]byte(body), &sent) // what is no JSON has no fields
	for _, fields := range []map[string]any{sent, r.body} {
		for _, name := range []string{"email", "password", "current_password", "access_token", "refresh_token"} {
			s.add(fmt.Sprint(fields[name]))
		}
	}
	if r.status >= 400 { // its instance is the path that was asked for
		s.refused.WriteString(strings.Replace(r.raw, r.text("instance"), "", 1))
	}
}

// add leaves out what is so short that it is found anywhere.
func (s *secrets) add(text string) {
	if text = strings.ToLower(strings.TrimSpace(text)); len(text) >= 8 {
		s.said[text] = true
	}
}

// heard answers which secrets stand in text, whatever their case.
func (s *secrets) heard(text string) (all []string) {
	text = strings.ToLower(text)
	for secret := range s.said {
		quoted, _ := json.Marshal(secret)
		if strings.Contains(text, secret) || strings.Contains(text, strings.Trim(string(quoted), `"`)) {
			all = append(all, secret)
		}
	}
	return all
}

func (s *secrets) check(t *testing.T, log string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.heard(log) {
		t.Errorf("%.100q stands in the log", secret)
	}
	for _, secret := range s.heard(s.refused.String()) {
		t.Errorf("%.100q stands in a refusal", secret)
	}
}

// TestSecretsAreFound is the known-bad twin: a secret that was let slip is found.
func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	s := &secrets{said: map[string]bool{}}
	request, err := http.NewRequest("POST", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer ey.the-token")
	request.Header.Set("Idempotency-Key", "the-key-of-ann")
	s.note(request, `{"email":"Ann@Example.org","password":"pass\"word"}`, reply{body: map[string]any{"refresh_token": "refreshing"}})
	for _, log := range []string{"by ANN@example.org", `pass\"word`, "ey.the-token.", "x refreshing y", "under THE-key-of-ann"} {
		if len(s.heard(log)) != 1 {
			t.Errorf("nothing found in %q", log)
		}
	}
	if found := s.heard("all is well"); found != nil {
		t.Errorf("%v found in nothing", found)
	}
}

// TestSecretsStaySecret asks every route in every way of the other tables with
// secrets in it, and everything that is not a route with secrets where they do not
// belong. What it asks for is checked by those tables; here the house is searched
// when it closes.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	h := open(t)
	q := newQuestions(h)
	for row := range matrix {
		asked, _ := q.ask(row, accounts.Buyer, q.buyer.Access)
		method, _, _ := strings.Cut(row, " ")
		h.ask(method, asked.path, asked.token, asked.body)
		h.ask(method, asked.path, asked.token[:len(asked.token)-3]+"AAA", asked.body)
		h.ask(method, asked.path, "", asked.body, "Authorization: "+asked.token)
		h.ask(method, asked.path+"?password="+q.buyer.password+"&email="+q.buyer.email+"&access_token="+q.buyer.Access, asked.token, asked.body)
	}
	for _, path := range []string{"/v1/auth/signin/" + q.buyer.password, "/" + q.buyer.Refresh, "/v1/sales/" + q.buyer.password, "/v1/me/" + q.buyer.email} {
		r := h.ask("GET", path, q.buyer.Access, "")
		if r.status != 404 {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	body := fmt.Sprintf(`{"email":%q,"password":%q,"role":"buyer"`, q.buyer.email, q.buyer.password)
	for _, broken := range []string{body, body + "]", body + `,"x":1}`, strings.Replace(body, ":", "", 1), body + "}" + body, `["` + q.buyer.password + `"]`} {
		for _, path := range []string{"/v1/auth/signup", "/v1/auth/signin"} {
			h.ask("POST", path, "", broken)
			h.ask("POST", path, "", broken, "Content-Type: text/plain")
		}
	}
	for _, said := range []string{q.buyer.email, q.buyer.password, q.buyer.Access, q.buyer.Refresh} {
		h.secrets.add(said)
	}
	// Stores that are gone make the errors that say most.
	h.ledger.Close()
	for _, c := range [][2]string{{"/v1/auth/signup", body + "}"}, {"/v1/auth/signin", credentials(q.buyer.email, q.buyer.password)}, {"/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, q.buyer.Refresh)}} {
		if r := h.ask("POST", c[0], "", c[1]); r.status < 500 {
			t.Errorf("%s without Postgres: %d %s", c[0], r.status, r.raw)
		}
	}
	if log := h.log.String(); strings.Count(log, "\n") < 50 || !strings.Contains(log, `"route":"/v1/auth/signup"`) {
		t.Errorf("there is hardly any log: %s", log)
	}
}
