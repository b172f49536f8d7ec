package process

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// FuzzParseKeys: what is read are keys that can sign, each with a name of its own,
// and what is shown of them, or complained of, is no secret.
func FuzzParseKeys(f *testing.F) {
	long := strings.Repeat("s", leastSecret)
	for _, seed := range []string{"a:" + long, "a:" + long + ",b:" + long, "a:" + long + ",a:" + long, ":" + long, "a", "", ",", "a:" + long[1:],
		" a : " + long, "a:b:" + long, "a:" + strings.Repeat("_-", 30) + "==", "\x00:" + long} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys(text)
		if err != nil {
			if len(keys) > 0 {
				t.Errorf("%q is both %d keys and %v", text, len(keys), err)
			}
			return
		}
		seen := map[string]bool{}
		for _, key := range keys {
			if key.ID == "" || seen[key.ID] || len(key.Secret) < leastSecret {
				t.Errorf("%q has the key %q, of %d bytes", text, key.ID, len(key.Secret))
			}
			seen[key.ID] = true
		}
		if len(keys) != strings.Count(text, ",")+1 {
			t.Errorf("%q has %d keys", text, len(keys))
		}
	})
}

// FuzzNoSecretIsShown: wherever a secret stands in a setting, neither the settings as
// they are shown nor the faults that are told of them have it.
func FuzzNoSecretIsShown(f *testing.F) {
	const secret = "geheimgeheimgeheimgeheimgeheimge"
	f.Add("redis://:", "@cache:6379/0")
	f.Add("postgres://sluice:", "@db/sluice")
	f.Add("postgres://db/sluice?password=", "&sslmode=require")
	f.Add("key:", "")
	f.Add("host=h password=", " user=u")
	f.Add("key:", ",")
	f.Add("", "@")
	f.Add("rediss://user:", "@[::1")
	f.Add("redis+cluster://:", "@a:1,b:2")
	f.Add("redis+sentinel://a:1,b:2/q?sentinel_password=", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		text := before + secret + after
		c := Config{RedisURL: text, PostgresURL: text, JWTKeys: "key:" + secret + after}
		shown := c.String()
		for _, c.Production = range []bool{false, true} {
			if err := c.Check(Servers, Keys); err != nil {
				var faults Faults
				if !errors.As(err, &faults) {
					t.Errorf("%q: %v", text, err)
				}
				shown += err.Error()
			}
		}
		at := strings.Index(shown, secret)
		if at < 0 {
			return
		}
		// Where no password stands, a URL is shown: a host, a user, a path, the ID of a key.
		for _, url := range []string{"://:" + secret + "@", "://u:" + secret + "@", "password=" + secret, "key:" + secret} {
			if strings.Contains(shown, url) {
				t.Errorf("%q is shown as %s", text, shown)
			}
		}
	})
}

// FuzzFlags: whatever a flag is set to, it is read or refused, and what is read is
// checked without breaking.
func FuzzFlags(f *testing.F) {
	for _, seed := range [][2]string{{"partitions", "4"}, {"partitions", "-9223372036854775809"}, {"batches-keep", "48h"}, {"batches-keep", "9999999h"},
		{"buyer-rate", "NaN"}, {"buyer-rate", "1e309"}, {"listen", ":0"}, {"listen", "[::1"}, {"redis-url", "redis://%zz"}, {"postgres-url", "postgres://h:x/d"},
		{"trusted-proxies", "0.0.0.0/0"}, {"cors-origins", "*"}, {"ip-rate", "NaN"}, {"ip-burst", "0"}, {"production", "true"}, {"jwt-keys-file", "/dev/zero"},
		{"name", "\x00"}, {"", ""}, {"shutdown-grace", "1"}, {"log-level", "loud"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.HasPrefix(name, "help") { // which ends the program
			return
		}
		if name == "postgres-url" && strings.ContainsAny(value, "?=") { // may name files to read, as its operator wants
			return
		}
		var flags struct {
			Config `embed:""`
		}
		parser, err := kong.New(&flags, kong.Exit(func(int) {}), kong.Vars{
			"ops_listen": "127.0.0.1:8081", "log_level": "info", "log_format": "json", "given": "", "keys": "", "name": "me",
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse([]string{"--" + name + "=" + value}); err != nil {
			return
		}
		var faults Faults
		c := flags.Config
		if err := c.Check(); err != nil && !errors.As(err, &faults) {
			t.Errorf("%s=%q: %v", name, value, err)
		}
		if len(faults) > 0 {
			return
		}
		if c.Partitions < 1 || c.Partitions > 4096 || !(c.BuyerRate >= 0 && c.BuyerRate <= 1e6) || c.BatchesKeep < 24*time.Hour || c.PostgresConns < 4 ||
			c.ShutdownGrace <= 0 || c.Backlog < 1 || c.BuyerBurst < 1 || !(c.IPRate == 0 || c.IPRate >= 0.01 && c.IPRate <= 1e6) || c.IPBurst < 1 && c.IPRate > 0 {
			t.Errorf("%s=%q is taken: %s", name, value, c)
		}
	})
}

// FuzzMasked: a line is written whole, whatever is in it, and what stands behind the
// word password is not.
func FuzzMasked(f *testing.F) {
	f.Add(`{"level":"info","message":"settled"}`)
	f.Add(`{"password":"`)
	f.Add("\xff\xfe eyJ")
	f.Add(`dial postgres://sluice:`)
	f.Fuzz(func(t *testing.T, before string) {
		const secret = "geheimgeheim"
		line := before + ` {"password":"` + secret + `"}` + "\n"
		var out bytes.Buffer
		if n, err := (masked{&out}).Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%q: %d, %v", line, n, err)
		}
		if strings.Contains(out.String(), secret) && !strings.Contains(before, secret) {
			t.Errorf("%q is written as %q", line, out.String())
		}
	})
}

// FuzzReadLine: the first line without its end, or an error; never more than fits.
func FuzzReadLine(f *testing.F) {
	for _, seed := range []string{"correct horse\nstaple\n", "correct horse", "\r\n", "", "a\r\r\n", strings.Repeat("x", longestSecret), strings.Repeat("x", longestSecret-1) + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readLine(t.Context(), bufio.NewReaderSize(strings.NewReader(text), longestSecret))
		first, _, ended := strings.Cut(text, "\n")
		switch {
		case len(got) > longestSecret:
			t.Errorf("a line of %d bytes", len(got))
		case err == nil && got != strings.TrimRight(first, "\r"):
			t.Errorf("the first line of %q is %q", text, got)
		case err != nil && ended && len(first) < longestSecret:
			t.Errorf("%q: %v", text, err)
		}
	})
}
