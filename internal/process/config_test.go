package process

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"
)

// defaults is a configuration as an empty environment makes it.
func defaults(t testing.TB) Config {
	t.Helper()
	for _, name := range variables() {
		t.Setenv(name, "") // so that the test's end restores it
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	return parsed(t)
}

func parsed(t testing.TB, args ...string) Config {
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
	for field := range settings() {
		names = append(names, field.Tag.Get("env"))
	}
	return names
}

// settings are the fields that an operator sets; the others are for whoever starts a
// process out of a program.
func settings() iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for field := range reflect.TypeFor[Config]().Fields() {
			if field.Tag.Get("kong") != "-" && !yield(field) {
				return
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	want := Config{
		Partitions: 16, PostgresConns: 20, Listen: ":8080", OpsListen: "127.0.0.1:8081", ShutdownGrace: 10 * time.Second,
		IPRate: 500, IPBurst: 1000,
		BuyerRate: 20, BuyerBurst: 40, Backlog: 100_000, PollBudget: 10_000, Waiters: 20_000, BatchesKeep: 24 * time.Hour, AuditEvery: 5 * time.Second, PostgresReplicaLag: 3 * time.Second, Web: "on",
		LogLevel: "info", LogFormat: "json", Name: "me",
	}
	got := defaults(t)
	if !reflect.DeepEqual(got, want) {
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
	for field := range settings() {
		tag := field.Tag
		if env := tag.Get("env"); !strings.HasPrefix(env, "SLUICE_") || !shown[env] || tag.Get("help") == "" {
			t.Errorf("%s: env %q, shown %t, help %q", field.Name, env, shown[env], tag.Get("help"))
		}
	}
}

func TestCheckTellsEveryFaultAtOnce(t *testing.T) {
	bad := Config{
		RedisURL: "redis://:geheim@host:port", PostgresURL: "mysql://u:geheim@h/d", PostgresDirectURL: "host=geheim", PostgresReplicaURL: "geheim",
		Listen: "nowhere", OpsListen: ":99999", JWTKeys: "a:geheim", ShutdownGrace: -1,
		TrustedProxies: "everybody", IPRate: -1, IPBurst: -1, CORSOrigins: "http://shop.example.com", Production: true,
		Partitions: 4097, PostgresConns: 3, BuyerRate: -1, Backlog: 0, BuyerBurst: 0, BatchesKeep: time.Hour, ReceiptsKeep: time.Hour, AuditEvery: -1,
		Web: "perhaps", GrafanaURL: "javascript:alert(1)", LogLevel: "loud", LogFormat: "xml", Name: "a b",
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
		if name == "SLUICE_DATA_DIR" || name == "SLUICE_FLIGHT_RECORDER" || strings.HasSuffix(name, "_FILE") { // anything may be a folder, yes and no are both right; ReadFiles looks into files
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
		"Sentinels":             {func(c *Config) { c.RedisURL = "redis+sentinel://:p@a:26379,b:26379/queue" }, nil, ""},
		"a cluster":             {func(c *Config) { c.RedisURL = "rediss+cluster://u:p@a:1,b:2" }, nil, ""},
		"a cluster by half":     {func(c *Config) { c.RedisURL = "redis+cluster://:p@a:1,b" }, nil, "SLUICE_REDIS_URL must look like"},
		"no master":             {func(c *Config) { c.RedisURL = "redis+sentinel://a:1" }, nil, "it must name the master"},
		"no Redis":              {func(c *Config) { c.PostgresURL = "postgres://h/d" }, []Need{Servers}, "SLUICE_REDIS_URL is missing"},
		"no Postgres":           {func(c *Config) { c.RedisURL = "redis://h:1" }, []Need{Servers}, "SLUICE_POSTGRES_URL is missing"},
		"Postgres without URL":  {func(c *Config) { c.PostgresURL = "host=h password=p" }, nil, "SLUICE_POSTGRES_URL"},
		"no keys":               {func(*Config) {}, []Need{Keys}, "SLUICE_JWT_KEYS is missing"},
		"keys":                  {func(c *Config) { c.JWTKeys = key }, []Need{Keys}, ""},
		"same port twice":       {func(c *Config) { c.OpsListen = c.Listen }, nil, "SLUICE_OPS_LISTEN"},
		"any port twice":        {func(c *Config) { c.Listen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0" }, nil, ""},
		"no rate limit":         {func(c *Config) { c.BuyerRate = 0 }, nil, ""},
		"no limit of addresses": {func(c *Config) { c.IPRate, c.IPBurst = 0, 0 }, nil, ""},
		"a limit of NaN":        {func(c *Config) { c.IPRate = math.NaN() }, nil, "SLUICE_IP_RATE"},
		"a burst of nothing":    {func(c *Config) { c.IPBurst = 0 }, nil, "SLUICE_IP_BURST"},
		"proxies":               {func(c *Config) { c.TrustedProxies = "10.0.0.0/8, ::1" }, nil, ""},
		"everybody a proxy":     {func(c *Config) { c.TrustedProxies = "10.0.0.0/8,0.0.0.0/0" }, nil, "SLUICE_TRUSTED_PROXIES"},
		"origins":               {func(c *Config) { c.CORSOrigins = "https://shop.example.com,http://localhost:3000" }, nil, ""},
		"every origin":          {func(c *Config) { c.CORSOrigins = "*" }, nil, "SLUICE_CORS_ORIGINS"},
		"dashboards":            {func(c *Config) { c.GrafanaURL = "https://grafana.example.com/d/x?orgId=1" }, nil, ""},
		"dashboards nowhere":    {func(c *Config) { c.GrafanaURL = "grafana.example.com" }, nil, "SLUICE_GRAFANA_URL"},
		"dashboards' password":  {func(c *Config) { c.GrafanaURL = "https://u:p@grafana.example.com" }, nil, "SLUICE_GRAFANA_URL"},
		"one partition":         {func(c *Config) { c.Partitions = 1 }, nil, ""},
		"audited too often":     {func(c *Config) { c.AuditEvery = time.Millisecond }, nil, "SLUICE_AUDIT_EVERY"},
		"audited too seldom":    {func(c *Config) { c.AuditEvery = 2 * time.Hour }, nil, "SLUICE_AUDIT_EVERY"},
		"log kept for too long": {func(c *Config) { c.BatchesKeep = 24*time.Hour - 1 }, nil, "SLUICE_BATCHES_KEEP"},
		"receipts of a month":   {func(c *Config) { c.ReceiptsKeep = 744 * time.Hour }, nil, ""},
		"receipts of a week":    {func(c *Config) { c.ReceiptsKeep = 168 * time.Hour }, nil, "SLUICE_RECEIPTS_KEEP"},
		"a log for longer":      {func(c *Config) { c.ReceiptsKeep, c.BatchesKeep = 744*time.Hour, 745*time.Hour }, nil, "SLUICE_RECEIPTS_KEEP"},
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
	c.PostgresDirectURL = "postgres://sluice:geheim@db/sluice"
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
	for url, want := range map[string]string{
		"redis+cluster://:geheim@a:1,[::1]:2":                          "redis+cluster://:xxxxx@a:1,[::1]:2",
		"redis+sentinel://u:geheim@a:1,b:2/q?sentinel_password=geheim": "redis+sentinel://u:xxxxx@a:1,b:2/q?sentinel_password=xxxxx",
		"postgres://u:geheim@a:1,b:2/d":                                "postgres://u:xxxxx@a:1,b:2/d",
	} {
		if got := maskURL(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
	for _, odd := range []string{"redis+cluster://:geheim@a:1,b", "redis+cluster://:gehe/im@a:1,b:2", "redis+cluster://a:1,:geheim@", "redis://:geheim@h:port", "host=h password=geheim", "geheim"} {
		if got := maskURL(odd); got != mask {
			t.Errorf("%q is shown as %q", odd, got)
		}
	}
}
