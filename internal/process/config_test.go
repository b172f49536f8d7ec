package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"
)

// defaults is a configuration as an empty environment makes it.
func defaults(t *testing.T) Config {
	t.Helper()
	for _, name := range variables() {
		t.Setenv(name, "") // so that the test's end restores it
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	return parsed(t)
}

func parsed(t *testing.T, args ...string) Config {
	t.Helper()
	var flags struct {
		Config `embed:""`
	}
	parser, err := kong.New(&flags, kong.Vars{
		"ops_listen": "127.0.0.1:8081", "log_level": "info", "log_format": "json", "given": "", "keys": "", "name": "me",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags.Config
}

// variables are the names of all environment variables.
func variables() (names []string) {
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		names = append(names, fields.Field(i).Tag.Get("env"))
	}
	return names
}

func TestDefaults(t *testing.T) {
	want := Config{
		Partitions: 16, PostgresConns: 20, Listen: ":8080", OpsListen: "127.0.0.1:8081", ShutdownGrace: 10 * time.Second,
		BuyerRate: 20, BuyerBurst: 40, Backlog: 100_000, BatchesKeep: 24 * time.Hour,
		LogLevel: "info", LogFormat: "json", Name: "me",
	}
	got := defaults(t)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := got.Check(); err != nil {
		t.Errorf("the defaults are wrong: %v", err)
	}
}

func TestEnvironmentAndFlags(t *testing.T) {
	defaults(t)
	t.Setenv("SLUICE_PARTITIONS", "4")
	t.Setenv("SLUICE_BATCHES_KEEP", "48h")
	if c := parsed(t); c.Partitions != 4 || c.BatchesKeep != 48*time.Hour {
		t.Errorf("the environment was not read: %s", c)
	}
	if c := parsed(t, "--partitions=5"); c.Partitions != 5 {
		t.Errorf("a flag does not go before the environment: %s", c)
	}
}

// TestEverySettingIsComplete: each field has a name in the environment, a help
// text, and a place in what is printed.
func TestEverySettingIsComplete(t *testing.T) {
	shown := map[string]bool{}
	for _, s := range defaults(t).settings() {
		shown["SLUICE_"+strings.ToUpper(s[0])] = true
	}
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		tag := fields.Field(i).Tag
		if env := tag.Get("env"); !strings.HasPrefix(env, "SLUICE_") || !shown[env] || tag.Get("help") == "" {
			t.Errorf("%s: env %q, shown %t, help %q", fields.Field(i).Name, env, shown[env], tag.Get("help"))
		}
	}
}

func TestCheckTellsEveryFaultAtOnce(t *testing.T) {
	bad := Config{
		RedisURL: "redis://:geheim@host:port", PostgresURL: "mysql://u:geheim@h/d",
		Listen: "nowhere", OpsListen: ":99999", JWTKeys: "a:geheim", ShutdownGrace: -1,
		Partitions: 4097, PostgresConns: 3, BuyerRate: -1, Backlog: 0, BuyerBurst: 0, BatchesKeep: time.Hour,
		LogLevel: "loud", LogFormat: "xml", Name: "a b",
	}
	err := bad.Check()
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "geheim") {
		t.Errorf("a secret is told: %v", err)
	}
	for _, name := range variables() {
		if name == "SLUICE_DATA_DIR" { // anything may be a folder
			continue
		}
		if !strings.Contains(err.Error(), name+" ") {
			t.Errorf("nothing about %s in:\n%v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	key := "k:" + strings.Repeat("s", 32)
	good := defaults(t)
	for name, test := range map[string]struct {
		change func(*Config)
		needs  []Need
		want   string // part of the error; "" for none
	}{
		"given servers": {func(c *Config) {
			c.RedisURL, c.PostgresURL = "rediss://:p@h:6379/2", "postgresql://u:p@h:5432/d?sslmode=disable"
		}, []Need{Servers}, ""},
		"no Redis":              {func(c *Config) { c.PostgresURL = "postgres://h/d" }, []Need{Servers}, "SLUICE_REDIS_URL is missing"},
		"no Postgres":           {func(c *Config) { c.RedisURL = "redis://h:1" }, []Need{Servers}, "SLUICE_POSTGRES_URL is missing"},
		"Postgres without URL":  {func(c *Config) { c.PostgresURL = "host=h password=p" }, nil, "SLUICE_POSTGRES_URL"},
		"no keys":               {func(*Config) {}, []Need{Keys}, "SLUICE_JWT_KEYS is missing"},
		"keys":                  {func(c *Config) { c.JWTKeys = key }, []Need{Keys}, ""},
		"same port twice":       {func(c *Config) { c.OpsListen = c.Listen }, nil, "SLUICE_OPS_LISTEN"},
		"any port twice":        {func(c *Config) { c.Listen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0" }, nil, ""},
		"no rate limit":         {func(c *Config) { c.BuyerRate = 0 }, nil, ""},
		"one partition":         {func(c *Config) { c.Partitions = 1 }, nil, ""},
		"log kept for too long": {func(c *Config) { c.BatchesKeep = 24*time.Hour - 1 }, nil, "SLUICE_BATCHES_KEEP"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			test.change(&c)
			err := c.Check(test.needs...)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestSecretsAreMasked(t *testing.T) {
	c := defaults(t)
	c.RedisURL = "redis://:geheim@cache:6379/0"
	c.PostgresURL = "postgres://sluice:geheim@db/sluice?password=geheim&sslpassword=geheim&sslmode=require"
	c.JWTKeys = "one:geheimgeheimgeheimgeheimgeheimge,geheim-without-id"
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().EmbedObject(c).Msg("starting")
	shown := []string{c.String(), fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), log.String(), fmt.Sprint([]Config{c})}
	for _, text := range shown {
		if strings.Contains(text, "geheim") {
			t.Errorf("a secret is shown: %s", text)
		}
		for _, want := range []string{"cache:6379", "sluice:xxxxx@db/sluice", "sslmode=require", "one:xxxxx"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not shown: %s", want, text)
			}
		}
	}
	for _, odd := range []string{"redis://:geheim@h:port", "host=h password=geheim", "geheim"} {
		if got := maskURL(odd); got != mask {
			t.Errorf("%q is shown as %q", odd, got)
		}
	}
}
