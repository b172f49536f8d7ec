package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
)

// kept is a file that holds that text.
func kept(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "it")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretsInFiles(t *testing.T) {
	defaults(t)
	redis, postgres, keys := "redis://:geheim@cache:6379/0", "postgres://sluice:geheim@db/sluice", "a:"+strings.Repeat("geheim", 6)
	t.Setenv("SLUICE_REDIS_URL_FILE", kept(t, redis+"\n", 0o400))
	t.Setenv("SLUICE_POSTGRES_URL_FILE", kept(t, postgres, 0o444))
	c := parsed(t, "--jwt-keys-file="+kept(t, keys+"\r\n", 0o640))
	if c.RedisURL != redis || c.PostgresURL != postgres || c.JWTKeys != keys {
		t.Errorf("got %q, %q, %q", c.RedisURL, c.PostgresURL, c.JWTKeys)
	}
	if err := c.Check(Servers, Keys); err != nil {
		t.Error(err)
	}
	if shown := c.String(); strings.Contains(shown, "geheim") || !strings.Contains(shown, c.JWTKeysFile) {
		t.Errorf("shown as %s", shown)
	}
	if err := c.ReadFiles(); err != nil { // it may be asked again
		t.Error(err)
	}
}

// TestSecretFilesInSubcommands: in a program of many commands they are read, too.
func TestSecretFilesInSubcommands(t *testing.T) {
	defaults(t)
	t.Setenv("SLUICE_REDIS_URL_FILE", kept(t, "redis://cache\n", 0o400))
	type deep struct {
		Config `embed:""`
	}
	var line struct {
		Up struct {
			Config `embed:""`
		} `cmd:""`
		Dead struct {
			List struct{ deep } `cmd:""`
		} `cmd:""`
	}
	parser, err := kong.New(&line, kong.Vars{"ops_listen": "", "log_level": "info", "log_format": "json", "given": "", "keys": "", "name": "me"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command []string
		read    *string
	}{{[]string{"up"}, &line.Up.RedisURL}, {[]string{"dead", "list"}, &line.Dead.List.RedisURL}} {
		if _, err := parser.Parse(c.command); err != nil || *c.read != "redis://cache" {
			t.Errorf("%v: %q, %v", c.command, *c.read, err)
		}
	}
}

func TestSecretFilesAreRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	keys := "a:" + strings.Repeat("geheim", 6)
	link := filepath.Join(t.TempDir(), "link") // as Kubernetes gives them
	if err := os.Symlink(kept(t, keys, 0o440), link); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"none":                         {func(c *Config) { c.JWTKeysFile = "/nowhere/at/all" }, "SLUICE_JWT_KEYS_FILE names no file: /nowhere"},
		"a folder":                     {func(c *Config) { c.JWTKeysFile = "/" }, "SLUICE_JWT_KEYS_FILE names no file"},
		"a pipe":                       {func(c *Config) { c.JWTKeysFile = pipe }, "SLUICE_JWT_KEYS_FILE names no file"},
		"empty":                        {func(c *Config) { c.RedisURLFile = kept(t, "\n", 0o400) }, "SLUICE_REDIS_URL_FILE names an empty file"},
		"a novel":                      {func(c *Config) { c.PostgresURLFile = kept(t, strings.Repeat("geheim", 20_000), 0o400) }, "SLUICE_POSTGRES_URL_FILE names a file of more than 64 KiB"},
		"both":                         {func(c *Config) { c.RedisURL, c.RedisURLFile = "redis://:geheim@a", kept(t, "redis://:geheim@b", 0o400) }, "SLUICE_REDIS_URL is given, and SLUICE_REDIS_URL_FILE too"},
		"for everybody":                {func(c *Config) { c.JWTKeysFile = kept(t, keys, 0o444) }, ""},
		"for everybody, in production": {func(c *Config) { c.Production, c.JWTKeysFile = true, kept(t, keys, 0o444) }, "SLUICE_JWT_KEYS_FILE names a file that everybody may read"},
		"for a group, in production":   {func(c *Config) { c.Production, c.JWTKeysFile = true, kept(t, keys, 0o440) }, ""},
		"a link, in production":        {func(c *Config) { c.Production, c.JWTKeysFile = true, link }, ""},
		"two faults":                   {func(c *Config) { c.RedisURLFile, c.JWTKeysFile = "/nowhere", "/nowhere" }, "SLUICE_REDIS_URL_FILE names no file: /nowhere\n  SLUICE_JWT_KEYS_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			test.change(&c)
			err := c.ReadFiles()
			var faults Faults
			if (err == nil) != (test.want == "") || err != nil && (!errors.As(err, &faults) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "geheim")) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
