package process

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sluice/internal/logs"
)

// TestNoSecretInTheLog logs secrets in every way that we could think of; none
// may come out.
func TestNoSecretInTheLog(t *testing.T) {
	const password, jwt = "correct-horse-battery", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl"
	defer logs.SetLevel(logs.Level())
	for _, format := range []string{"json", "console"} {
		var out bytes.Buffer
		log := Config{LogLevel: "debug", LogFormat: format}.Logger(&out)
		log.Info().Str("password", password).Str("refresh_token", password).Str("client_secret", password).Msg("a")
		log.Info().Str("header", "Bearer "+password).Str("Authorization", password).Msg("b")
		log.Info().Str("seen", jwt).Msg("token is " + jwt + " you know")
		log.Warn().Err(errors.New(`body {"email":"ann@example.com","password":"` + password + `"}`)).Msg("c")
		log.Warn().Err(errors.New("dial postgres://sluice:" + password + "@db:5432/x: refused")).Msg("d")
		log.Warn().Err(errors.New("dial redis://:" + password + "@redis:6379")).Msg("e")
		log.Error().Str("hash", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$"+password).Msg("from ann+x@mail.example.co.kr")
		text := out.String()
		for _, secret := range []string{password, jwt, "ann", "c2lnbmF0dXJl", "c2FsdA"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %q is in the log:\n%s", format, secret, text)
			}
		}
		for _, kept := range []string{"postgres://sluice:", "@db:5432", "refused", "you know"} {
			if !strings.Contains(text, kept) {
				t.Errorf("%s: %q is lost:\n%s", format, kept, text)
			}
		}
	}
}

// TestMaskingLetsTheRestThrough: a line without a secret is written as it is.
func TestMaskingLetsTheRestThrough(t *testing.T) {
	const line = `{"level":"info","receipt":"01a200d5-63f9-7001-9a6a-c18952379aa0","sale":7,"status":"confirmed","took":1.25,"message":"settled @ 12:30, 5 tokens"}` + "\n"
	var out bytes.Buffer
	if n, err := (masked{&out}).Write([]byte(line)); err != nil || n != len(line) || out.String() != line {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
}
