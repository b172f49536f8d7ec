package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
)

// ears know what must not be heard, by what it is, and find it in a log.
type ears struct {
	mu      sync.Mutex
	secrets map[string]string // what → kind
	log     bytes.Buffer
}

func (e *ears) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(line)
}

func (e *ears) know(kind, secret string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(secret) < 8 {
		panic("too short to be told from anything else: " + kind)
	}
	e.secrets[strings.ToLower(secret)] = kind
}

// said takes down what is secret in a request and its answer.
func (e *ears) said(request *http.Request, body string, answer map[string]any) {
	if header := request.Header.Get("Authorization"); header != "" {
		e.know("Authorization", header)
		if _, token, _ := strings.Cut(header, " "); len(token) >= 8 {
			e.know("Authorization", token)
		}
	}
	if key := request.Header.Get("Idempotency-Key"); key != "" {
		e.know("Idempotency-Key", key)
	}
	var sent map[string]any
	_ = json.Unmarshal([]byte(body), &sent) // what is no JSON has no fields
	for _, fields := range []map[string]any{sent, answer} {
		for _, name := range []string{"email", "password", "current_password", "access_token", "refresh_token"} {
			if text := word(fields, name); len(text) >= 8 {
				e.know(name, text)
			}
		}
	}
}

// heard answers the kinds of secrets that stand in text, plain or as JSON or in a URL.
func (e *ears) heard(text string) (kinds map[string]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kinds = map[string]bool{}
	text = strings.ToLower(text)
	for secret, kind := range e.secrets {
		quoted, _ := json.Marshal(secret)
		for _, form := range []string{secret, strings.Trim(string(quoted), `"`), strings.ToLower(url.QueryEscape(secret))} {
			if strings.Contains(text, form) {
				kinds[kind] = true
			}
		}
	}
	return kinds
}

// TestLogsTellNoSecret: all of Sluice works at log level debug, through the journeys of
// buyers and sellers and through what goes wrong in them. Nothing that was secret is in
// its log, though the masks that would catch it are off.
func TestLogsTellNoSecret(t *testing.T) {
	e := &ears{secrets: map[string]string{}}
	c := config(t, embeddedtest.RedisServer(t).URL, embeddedtest.Postgres(t)) // whose password is wrong in the end
	c.LogLevel = "debug"
	log := zerolog.New(e).Level(zerolog.DebugLevel)
	log.Info().EmbedObject(c).Msg("starting")
	e.know("token key", strings.TrimPrefix(c.JWTKeys, "test:"))
	server, err := url.Parse(c.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	if password, is := server.User.Password(); is && len(password) >= 8 {
		e.know("Postgres password", password)
	}
	api, _, stop := serving(t, c, log)
	api.said = e.said

	// Who comes, and who pretends to.
	people := map[string]map[string]any{}
	for name, role := range map[string]string{"ann.buyer": "buyer", "sam.seller": "seller"} {
		people[name] = api.wants(201, "", "POST", "/v1/auth/signup", "", fmt.Sprintf(`{"email":"%s@mail.example.org","password":"horse-battery-%s","role":%q}`, name, name, role))
	}
	ann, sam := word(people["ann.buyer"], "access_token"), word(people["sam.seller"], "access_token")
	api.wants(409, "email_taken", "POST", "/v1/auth/signup", "", `{"email":"ANN.buyer@mail.example.org","password":"another-horse","role":"buyer"}`)
	api.wants(401, "bad_credentials", "POST", "/v1/auth/signin", "", `{"email":"ann.buyer@mail.example.org","password":"guessed-wrongly"}`)
	api.wants(401, "bad_credentials", "POST", "/v1/auth/signin", "", `{"email":"nobody.here@mail.example.org","password":"guessed-wrongly"}`)
	api.wants(400, "bad_json", "POST", "/v1/auth/signin", "", `{"email":"ann.buyer@mail.example.org","password":"horse-battery-ann.buyer"`)
	api.wants(422, "invalid_fields", "POST", "/v1/auth/signup", "", `{"email":"no mail.example.org","password":"battery-horse","role":"buyer"}`)
	session := api.wants(200, "", "POST", "/v1/auth/signin", "", `{"email":"ann.buyer@mail.example.org","password":"horse-battery-ann.buyer"}`)
	stale := fmt.Sprintf(`{"refresh_token":%q}`, word(session, "refresh_token"))
	api.wants(200, "", "POST", "/v1/auth/refresh", "", stale)
	api.wants(401, "session_ended", "POST", "/v1/auth/refresh", "", stale)
	api.wants(200, "", "PATCH", "/v1/me", sam, `{"current_password":"horse-battery-sam.seller","email":"sam.other@mail.example.org","password":"horse-battery-new"}`)
	api.wants(401, "token_invalid", "GET", "/v1/me", ann[:len(ann)-4]+"AAAA", "")
	api.wants(401, "unauthorized", "GET", "/v1/me", "", "", "Authorization: Basic YW5uOmhvcnNlLWJhdHRlcnk=")
	api.wants(400, "bad_query", "GET", "/v1/me?access_token="+ann, ann, "")
	api.wants(404, "not_found", "GET", "/v1/reset/ann.buyer@mail.example.org/horse-battery-ann.buyer", "", "")
	api.wants(404, "unknown_receipt", "GET", "/v1/receipts/"+word(session, "refresh_token"), ann, "")

	// What they do.
	api.wants(201, "", "POST", "/v1/me/wallet/topups", ann, `{"amount":5000}`, "Idempotency-Key: key-of-the-top-up")
	opens := time.Now().Add(1100 * time.Millisecond).UTC().Truncate(time.Second).Add(time.Second)
	offer := api.wants(201, "", "POST", "/v1/sales", sam, fmt.Sprintf(`{"kind":"reservation","title":"Chair","stock":3,"limit":3,"unit_price":5,"hold":60,"opens_at":%q,"closes_at":%q}`,
		opens.Format(time.RFC3339), opens.Add(time.Hour).Format(time.RFC3339)), "Idempotency-Key: key-of-the-sale")
	reserve := fmt.Sprintf("/v1/sales/%.0f/reservations", offer["sale"])
	var made map[string]any
	await(t, "the sale opens", func() bool {
		var status int
		status, made = api.ask("POST", reserve, ann, `{"quantity":1}`, "Idempotency-Key: key-of-the-chair")
		return status == http.StatusAccepted
	})
	receipt := "/v1/receipts/" + word(made, "receipt")
	await(t, "it is held", func() bool {
		_, answer := api.ask("GET", receipt, ann, "")
		return word(answer, "status") == "held"
	})
	api.wants(422, "idempotency_mismatch", "POST", reserve, ann, `{"quantity":2}`, "Idempotency-Key: key-of-the-chair")
	api.wants(400, "idempotency_key_invalid", "POST", reserve, ann, `{"quantity":2}`, "Idempotency-Key: key with blanks")
	api.wants(202, "", "POST", receipt+"/pay", ann, "", "Idempotency-Key: key-of-the-payment")
	api.wants(403, "forbidden", "POST", receipt+"/pay", sam, "", "Idempotency-Key: key-of-a-stranger")
	await(t, "it is paid", func() bool {
		_, answer := api.ask("GET", receipt, ann, "")
		return word(answer, "status") == "confirmed"
	})

	// A store breaks under them, and others cannot be reached at all.
	exec(t, c.PostgresURL, "alter table accounts rename to gone")
	for _, asked := range [][3]string{
		{"POST", "/v1/auth/signin", `{"email":"ann.buyer@mail.example.org","password":"horse-battery-ann.buyer"}`},
		{"POST", "/v1/auth/signup", `{"email":"late.comer@mail.example.org","password":"horse-battery-late","role":"buyer"}`},
		{"POST", "/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, word(people["ann.buyer"], "refresh_token"))},
	} {
		if status, answer := api.ask(asked[0], asked[1], "", asked[2]); status < 500 {
			t.Errorf("%s without its table: %d %v", asked[1], status, answer)
		}
	}
	stop()
	wrong := c
	wrong.RedisURL = strings.Replace(c.RedisURL, "redis://", "redis://nobody:wrong-redis-word@", 1)
	e.know("Redis password", "wrong-redis-word")
	if p, err := Open(t.Context(), wrong, log); err != nil {
		log.Error().Err(err).EmbedObject(wrong).Msg("open")
	} else {
		t.Error("a wrong password opens Redis", p.Close())
	}
	wrong = c
	server.User = url.UserPassword("nobody", "wrong-postgres-word")
	wrong.PostgresURL = server.String()
	e.know("Postgres password", "wrong-postgres-word")
	if p, err := Open(t.Context(), wrong, log); err != nil {
		log.Error().Err(err).EmbedObject(wrong).Msg("open")
	} else {
		t.Error("a wrong password opens Postgres", p.Close())
	}

	text := e.log.String()
	for kind := range e.heard(text) {
		t.Errorf("%s stands in the log:\n%s", kind, text)
	}
	if strings.Count(text, "\n") < 30 || !strings.Contains(text, `"route":"/v1/auth/signin"`) || strings.Count(text, `"level":"warn"`) < 3 || !strings.Contains(text, "API answers") {
		t.Errorf("there is hardly any log:\n%s", text)
	}

	// The known-bad twin: a line with any of them is found.
	kinds := map[string]bool{}
	for secret, kind := range e.secrets {
		kinds[kind] = true
		if !e.heard(fmt.Sprintf(`{"level":"debug","message":"asked by %s."}`, strings.ToUpper(secret)))[kind] {
			t.Errorf("%s is not found", kind)
		}
		if !e.heard("GET /?x=" + url.QueryEscape(secret))[kind] {
			t.Errorf("%s is not found in a URL", kind)
		}
	}
	for _, kind := range []string{"email", "password", "current_password", "access_token", "refresh_token", "Authorization", "Idempotency-Key", "token key", "Redis password", "Postgres password"} {
		if !kinds[kind] {
			t.Errorf("no %s was ever said: the test shows nothing of it", kind)
		}
	}
	if found := e.heard(`{"level":"info","message":"API answers"}`); len(found) > 0 {
		t.Errorf("%v found in nothing", found)
	}
}

// await asks again and again, for at most half a minute.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// exec has Postgres do something behind everybody's back.
func exec(t *testing.T, postgres, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
