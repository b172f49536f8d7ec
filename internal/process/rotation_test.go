package process

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
)

// TestKeyRotation: the steps of the README. A key comes, signs, and the one before goes,
// and nobody has to sign in again for it.
func TestKeyRotation(t *testing.T) {
	c := config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	a, b := "a:"+strings.Repeat("A", 32), "b:"+strings.Repeat("B", 32)
	turn := func(keys string) *asker {
		t.Helper()
		c.JWTKeys = keys
		api, _, _ := serving(t, c, zerolog.Nop())
		return api
	}
	refresh := func(api *asker, answer map[string]any) map[string]any {
		t.Helper()
		return api.wants(200, "", "POST", "/v1/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, word(answer, "refresh_token")))
	}
	signedBy := func(answer map[string]any, want string) {
		t.Helper()
		if got := kid(t, word(answer, "access_token")); got != want {
			t.Errorf("signed by %q, not %q", got, want)
		}
	}
	credentials := `{"email":"ann@example.org","password":"long enough","role":"buyer"}`

	old := turn(a)
	before := old.wants(201, "", "POST", "/v1/auth/signup", "", credentials)
	signedBy(before, "a")

	// 1. Everybody learns the new key, which signs nothing yet: not all processes change
	// at once.
	learnt := turn(a + "," + b)
	signedBy(refresh(learnt, signIn(learnt)), "a")

	// 2. It signs. What the old one signed is believed, by new processes and by those of
	// step 1 what the new one signed.
	both := turn(b + "," + a)
	both.wants(200, "", "GET", "/v1/me", word(before, "access_token"), "")
	during := refresh(both, before)
	signedBy(during, "b")
	signedBy(signIn(both), "b")
	both.wants(200, "", "GET", "/v1/me", word(during, "access_token"), "")
	learnt.wants(200, "", "GET", "/v1/me", word(during, "access_token"), "")
	old.wants(401, "token_invalid", "GET", "/v1/me", word(during, "access_token"), "") // why step 1 is one

	// 3. When all that the old one signed has expired, it goes. Were it too early, the
	// refresh token would still be good.
	late := signIn(learnt)
	signedBy(late, "a")
	alone := turn(b)
	alone.wants(401, "token_invalid", "GET", "/v1/me", word(late, "access_token"), "")
	after := refresh(alone, late)
	signedBy(after, "b")
	alone.wants(200, "", "GET", "/v1/me", word(after, "access_token"), "")
	signedBy(refresh(alone, during), "b")
}

func signIn(api *asker) map[string]any {
	api.t.Helper()
	return api.wants(200, "", "POST", "/v1/auth/signin", "", `{"email":"ann@example.org","password":"long enough"}`)
}

// kid is the key that a token says it is signed by.
func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}
