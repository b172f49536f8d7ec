package process

import (
	"strings"
	"testing"
)

// TestCheckPooler: what must be said of a pooler, and what does not fit.
func TestCheckPooler(t *testing.T) {
	good := defaults(t)
	for name, test := range map[string]struct {
		change func(*Config)
		needs  []Need
		want   string // part of the error; "" for none
	}{
		"a pooler": {func(c *Config) {
			c.PostgresURL, c.PostgresDirectURL, c.PostgresPooler = "postgres://u:p@pooler/d", "postgres://u:p@h/d", true
		}, []Need{Schema}, ""},
		"a pooler, nothing to migrate": {func(c *Config) { c.PostgresURL, c.PostgresPooler = "postgres://u:p@pooler/d", true }, nil, ""},
		"migrations by a pooler": {func(c *Config) { c.PostgresURL, c.PostgresPooler = "postgres://u:p@pooler/d", true },
			[]Need{Schema}, "SLUICE_POSTGRES_DIRECT_URL is missing"},
		"a pooler before nothing":     {func(c *Config) { c.PostgresPooler = true }, nil, "SLUICE_POSTGRES_POOLER is about"},
		"a way past no pooler":        {func(c *Config) { c.PostgresURL, c.PostgresDirectURL = "postgres://h/d", "postgres://h/d" }, nil, "SLUICE_POSTGRES_DIRECT_URL leads past"},
		"a direct way that is no URL": {func(c *Config) { c.PostgresDirectURL, c.PostgresPooler = "host=h", true }, nil, "SLUICE_POSTGRES_DIRECT_URL must look like"},
	} {
		c := good
		test.change(&c)
		if err := c.Check(test.needs...); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
