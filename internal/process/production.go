package process

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/internal/httpapi"
	"sluice/internal/redisurl"
)

// checkDoors tells what may do on a laptop and not in production. What cannot be read
// at all Check has told.
func (c Config) checkDoors(must func(ok bool, name, rule string, args ...any)) {
	const on = ", and SLUICE_PRODUCTION is on"
	if keys, err := parseKeys(c.JWTKeys); err == nil {
		texts := strings.Split(c.JWTKeys, ",")
		for i, key := range keys {
			why := weakness(key.Secret)
			if why == "" {
				_, secret, _ := strings.Cut(texts[i], ":") // as it was typed
				why = commonWord(secret)
			}
			must(why == "", "SLUICE_JWT_KEYS", "has a weak key %q: %s%s; `openssl rand -base64 32` makes a good one", key.ID, why, on)
		}
	}
	if server, err := redisurl.Parse(c.RedisURL); err == nil && !server.Socket {
		why := weakPassword(server.Username, server.Password)
		must(why == "", "SLUICE_REDIS_URL", "%s%s", why, on)
	}
	for _, u := range []struct{ name, url string }{{"SLUICE_POSTGRES_URL", c.PostgresURL}, {"SLUICE_POSTGRES_DIRECT_URL", c.PostgresDirectURL}, {"SLUICE_POSTGRES_REPLICA_URL", c.PostgresReplicaURL}} {
		server, err := pgx.ParseConfig(u.url)
		if err != nil || u.url == "" {
			continue
		}
		ownProof := strings.HasPrefix(server.Host, "/") || server.TLSConfig != nil && len(server.TLSConfig.Certificates) > 0 // the socket's owner, or a certificate
		if server.Password != "" || !ownProof {
			why := weakPassword(server.User, server.Password)
			must(why == "", u.name, "%s%s", why, on)
		}
	}
	if origins, err := httpapi.ParseOrigins(c.CORSOrigins); err == nil {
		for _, origin := range origins {
			u, err := url.Parse(origin)
			must(err == nil && (u.Scheme == "https" || slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())), "SLUICE_CORS_ORIGINS",
				"lets in %s, which anybody on its way can change%s", origin, on)
		}
	}
}

// weakness says what is weak in a secret as it signs: "" for nothing. It finds what
// people type, not what a bad generator makes.
func weakness(secret []byte) string {
	different := map[byte]bool{}
	for _, b := range secret {
		different[b] = true
	}
	if len(different) < 6 { // 32 random bytes have about 30, 40 random digits 10
		return fmt.Sprintf("it has only %d different bytes", len(different))
	}
	for period := 1; period <= len(secret)/2; period++ {
		if bytes.Equal(secret[period:], secret[:len(secret)-period]) {
			return "it repeats itself"
		}
	}
	steps := map[byte]int{} // abcdef…, 123456…
	for i := range len(secret) - 1 {
		steps[secret[i+1]-secret[i]]++
	}
	for _, n := range steps {
		if n > len(secret)/2 {
			return "it is a row of characters"
		}
	}
	return commonWord(string(secret))
}

// common are what guessers try first. None is so short that it stands in a random
// secret by chance.
var common = []string{"changeme", "change-me", "change_me", "secret", "passwor", "example", "default", "letmein", "qwerty", "insecure", "replace", "postgres", "sluice"}

func commonWord(text string) string {
	text = strings.ToLower(text)
	for _, word := range common {
		if strings.Contains(text, word) {
			return "it holds a word that everybody tries"
		}
	}
	return ""
}

// weakPassword says what is weak in a password of a server: "" for nothing.
func weakPassword(user, password string) string {
	switch {
	case password == "":
		return "has no password"
	case strings.EqualFold(user, password):
		return "has its user's name for a password"
	case len(password) < 8:
		return "has a password of less than 8 bytes"
	case commonWord(password) != "":
		return "has a weak password: " + commonWord(password)
	}
	return ""
}
