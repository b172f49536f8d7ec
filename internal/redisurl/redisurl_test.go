package redisurl

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		address string
		want    Target
		tls     bool
		shown   string
	}{
		{"redis://cache:6379/3", Target{Mode: Server, Addrs: []string{"cache:6379"}, DB: 3}, false, "redis://cache:6379/3"},
		{"redis://cache", Target{Mode: Server, Addrs: []string{"cache:6379"}}, false, "redis://cache:6379"},
		{"rediss://u:p%40w@cache:1", Target{Mode: Server, Addrs: []string{"cache:1"}, Username: "u", Password: "p@w"}, true, "rediss://cache:1"},
		{"unix:///run/redis.sock?db=2", Target{Mode: Server, Addrs: []string{"/run/redis.sock"}, Socket: true, DB: 2}, false, "unix:///run/redis.sock/2"},
		{"redis+sentinel://a:26379,b:26380/queue", Target{Mode: Sentinel, Addrs: []string{"a:26379", "b:26380"}, Master: "queue"}, false,
			"redis+sentinel://a:26379,b:26380/queue"},
		{"rediss+sentinel://:p,w@a:1/q/7?sentinel_username=s&sentinel_password=x%26y",
			Target{Mode: Sentinel, Addrs: []string{"a:1"}, Master: "q", DB: 7, Password: "p,w", SentinelUsername: "s", SentinelPassword: "x&y"}, true,
			"rediss+sentinel://a:1/q/7"},
		{"redis+cluster://u:p@a:1,[::1]:2,10.0.0.3:65535", Target{Mode: Cluster, Addrs: []string{"a:1", "[::1]:2", "10.0.0.3:65535"}, Username: "u", Password: "p"}, false,
			"redis+cluster://a:1,[::1]:2,10.0.0.3:65535"},
		{"rediss+cluster://a:1/0", Target{Mode: Cluster, Addrs: []string{"a:1"}}, true, "rediss+cluster://a:1"},
	} {
		got, err := Parse(c.address)
		if err != nil {
			t.Errorf("%s: %v", c.address, err)
			continue
		}
		if w := c.want; got.Mode != w.Mode || !slices.Equal(got.Addrs, w.Addrs) || got.Socket != w.Socket || got.Master != w.Master || got.DB != w.DB ||
			got.Username != w.Username || got.Password != w.Password || got.SentinelUsername != w.SentinelUsername || got.SentinelPassword != w.SentinelPassword {
			t.Errorf("%s is %+v, want %+v", c.address, got, w)
		}
		if (got.tls != nil) != c.tls {
			t.Errorf("%s goes by TLS: %t", c.address, got.tls != nil)
		}
		if got.String() != c.shown {
			t.Errorf("%s is shown as %s, want %s", c.address, got, c.shown)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for address, why := range map[string]string{
		"":                                   "no scheme",
		"cache:6379":                         "no scheme",
		"http://cache":                       "no URL of a Redis server",
		"redis://cache:6379/x":               "no URL of a Redis server",
		"redis://a:1,b:2":                    "several hosts",
		"redis+ring://a:1":                   "scheme is none of",
		"http+cluster://a:1":                 "scheme is none of",
		"redis+cluster://":                   "host:port",
		"redis+cluster://a":                  "host:port",
		"redis+cluster://a:1,":               "host:port",
		"redis+cluster://a:1,b":              "host:port",
		"redis+cluster://a:0":                "host:port",
		"redis+cluster://a:65536":            "host:port",
		"redis+cluster://:1":                 "host:port",
		"redis+cluster://:p%zz@a:1":          "escape",
		"redis+cluster://a:1/1":              "one database",
		"redis+cluster://a:1?db=1":           "ends with its hosts",
		"redis+sentinel://a:1":               "name the master",
		"redis+sentinel://a:1/":              "name the master",
		"redis+sentinel://a:1/q/one":         "database must be a number",
		"redis+sentinel://a:1/q/1/2":         "database must be a number",
		"redis+sentinel://a:1/q?db=1":        "neither sentinel_username",
		"redis+sentinel://a:1/q?password=%z": "parameters cannot be read",
	} {
		if got, err := Parse(address); err == nil {
			t.Errorf("%q is %s", address, got)
		} else if !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want something of %q", address, err, why)
		}
	}
}

// FuzzParse: whatever is read has hosts that can be dialled, is shown without its
// password, and is read again from what is shown as the same servers.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"redis://:", "rediss+cluster://u:", "redis+sentinel://a:1/q?sentinel_password=", "redis+cluster://", "unix://"} {
		for _, rest := range []string{"", "@a:1", "@a:1,b:2/name/3", "@[::1]:2", "/0"} {
			f.Add(seed, rest)
		}
	}
	const secret = "geheimgeheim"
	f.Fuzz(func(t *testing.T, before, after string) {
		got, err := Parse(before + secret + after)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q + a secret + %q: %v", before, after, err)
			}
			return
		}
		if (got.Password == secret || got.SentinelPassword == secret) && strings.Contains(got.String(), secret) && !strings.Contains(before+after, secret) {
			t.Errorf("%q + a secret + %q is shown as %s", before, after, got)
		}
		if got.Mode == Server {
			return // the driver's business
		}
		again, err := Parse(got.String())
		if err != nil {
			t.Fatalf("%q, shown as %s: %v", before+secret+after, got, err)
		}
		if again.String() != got.String() || again.Mode != got.Mode || !slices.Equal(again.Addrs, got.Addrs) || again.Master != got.Master || again.DB != got.DB {
			t.Errorf("%q is %+v, and what is shown of it %+v", before+secret+after, got, again)
		}
		if len(got.Addrs) == 0 || got.Mode == Sentinel && got.Master == "" {
			t.Errorf("%q is %+v", before+secret+after, got)
		}
	})
}
