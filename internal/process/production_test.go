package process

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// strong is a secret as we tell people to make them.
const strong = "4f0V9xq1mWc7uS3yLr8dZk2bHn5gTj6pAeXoQiRwYvM="

func TestProduction(t *testing.T) {
	key := func(secret string) func(*Config) { return func(c *Config) { c.JWTKeys = "k:" + secret } }
	base := func(secret string) func(*Config) { return key(base64.StdEncoding.EncodeToString([]byte(secret))) }
	redis := func(url string) func(*Config) { return func(c *Config) { c.RedisURL = url } }
	postgres := func(url string) func(*Config) { return func(c *Config) { c.PostgresURL = url } }
	origins := func(list string) func(*Config) { return func(c *Config) { c.CORSOrigins = list } }
	for name, test := range map[string]struct {
		change func(*Config)
		want   string // part of the fault; "" for none
	}{
		"as it should be":         {func(*Config) {}, ""},
		"no servers and no keys":  {func(c *Config) { c.RedisURL, c.PostgresURL, c.JWTKeys = "", "", "" }, ""},
		"two keys":                {func(c *Config) { c.JWTKeys += ",old:" + strings.ReplaceAll(strong, "4", "7") }, ""},
		"hex":                     {key("8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d"), ""},
		"half as much hex":        {key("8f14e45fceea167a5a36dedd4bea2543"), ""},
		"one byte":                {key(strings.Repeat("x", 40)), "key \"k\": it has only 1 different"},
		"one byte, in base64":     {base(strings.Repeat("\x00", 40)), "it has only 1 different"},
		"a few bytes":             {key("aabbccddaaccbbddabcdabddccaabbcdab"), "it has only 4"},
		"a word over and over":    {key(strings.Repeat("0123wxyz98", 4)), "repeats itself"},
		"the alphabet":            {key("abcdefghijklmnopqrstuvwxyz0123456789"), "a row"},
		"the alphabet, backwards": {base("zyxwvutsrqponmlkjihgfedcba9876543210"), "a row"},
		"changeme":                {key("ChangeMe-4f0V9xq1mWc7uS3yLr8dZk2bHn5gTj"), "everybody tries"},
		"a secret in base64":      {base("my little secret of 2024, nobody knows"), "everybody tries"},
		"secret as it is":         {key("4f0V9xq1mWc7uS3yLr8dsecretHn5gTj"), "everybody tries"},
		"the second is weak":      {func(c *Config) { c.JWTKeys += ",old:" + strings.Repeat("x", 40) }, "key \"old\""},

		"Redis without a password":       {redis("redis://cache:6379/0"), "SLUICE_REDIS_URL has no password"},
		"Redis with a user alone":        {redis("redis://sluice@cache:6379/0"), "SLUICE_REDIS_URL has no password"},
		"Redis with its user's name":     {redis("redis://cachecache:cachecache@cache:6379/0"), "user's name"},
		"Redis with a word":              {redis("redis://:changeme1@cache:6379/0"), "everybody tries"},
		"Redis with a short password":    {redis("redis://:4f0V9xq@cache:6379/0"), "less than 8"},
		"Redis at a socket":              {redis("unix:///run/redis.sock"), ""},
		"Postgres by its own name":       {postgres("postgres://postgres:postgres@db/sluice"), "SLUICE_POSTGRES_URL has its user's name"},
		"Postgres without a password":    {postgres("postgres://sluice@db/sluice"), "SLUICE_POSTGRES_URL has no password"},
		"Postgres with a word":           {postgres("postgres://sluice:Postgres1@db/sluice"), "everybody tries"},
		"Postgres, password as a query":  {postgres("postgres://sluice@db/sluice?password=4f0V9xq1mWc7"), ""},
		"Postgres at a socket":           {postgres("postgres://sluice@/sluice?host=/run/postgresql"), ""},
		"Postgres at a socket, and weak": {postgres("postgres://sluice:sluice@/sluice?host=/run/postgresql"), "user's name"},

		"a page by https":        {origins("https://shop.example.com"), ""},
		"a page by http":         {origins("https://shop.example.com,http://shop.example.com"), "SLUICE_CORS_ORIGINS lets in http://shop.example.com"},
		"a developer's page":     {origins("http://localhost:3000,http://127.0.0.1:3000,http://[::1]:3000"), ""},
		"somebody's localhost":   {origins("http://localhost.example.com"), "SLUICE_CORS_ORIGINS"},
		"everything is broken":   {func(c *Config) { c.RedisURL, c.PostgresURL, c.JWTKeys, c.CORSOrigins = "x", "y", "z", "*" }, "SLUICE_JWT_KEYS key 1"},
		"the log may say it all": {func(c *Config) { c.LogLevel = "debug" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := defaults(t)
			c.JWTKeys = "now:" + strong
			c.RedisURL, c.PostgresURL = "redis://:4f0V9xq1mWc7@cache:6379/0", "postgres://sluice:4f0V9xq1mWc7@db/sluice"
			test.change(&c)
			if err := c.Check(); err != nil && name != "everything is broken" {
				t.Fatalf("without it already: %v", err)
			}
			c.Production = true
			err := c.Check()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err == nil {
				return
			}
			if name != "everything is broken" && !strings.Contains(err.Error(), "SLUICE_PRODUCTION is on") {
				t.Errorf("it does not say why now: %v", err)
			}
			for _, secret := range []string{"changeme1", "4f0V9xq", "ChangeMe", "little", "xxxx"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("it tells a secret: %v", err)
				}
			}
		})
	}
}

// TestGoodSecretsAreTaken: what a generator makes is never called weak.
func TestGoodSecretsAreTaken(t *testing.T) {
	for range 20_000 {
		secret := make([]byte, 32)
		rand.Read(secret)
		digits, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(40), nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(secret), hex.EncodeToString(secret), hex.EncodeToString(secret[:16]), base64.StdEncoding.EncodeToString(secret), rand.Text() + rand.Text(), "9" + digits.String()} {
			if why := weakness([]byte(text)); why != "" {
				t.Errorf("%q: %s", text, why)
			}
		}
	}
}

// TestProductionIsCheckedBeforeItOpens: the key that `sluice` makes by itself is good
// enough, a weak one opens nothing.
func TestProductionIsCheckedBeforeItOpens(t *testing.T) {
	c := defaults(t)
	c.RedisURL, c.PostgresURL = "redis://:4f0V9xq1mWc7@"+deadAddress(t), "postgres://sluice:4f0V9xq1mWc7@"+deadAddress(t)+"/sluice"
	c.Production = true
	var err error
	if c.JWTKeys, err = KeepKey(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(Servers, Keys); err != nil {
		t.Error(err)
	}
	c.JWTKeys = "k:" + strings.Repeat("x", 40)
	if _, err := Open(t.Context(), c, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "weak key") {
		t.Errorf("it opens: %v", err)
	}
}
