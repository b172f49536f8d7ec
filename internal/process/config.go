package process

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Config is every setting of Sluice. Each can be given in the environment or as
// a flag; a flag is visible to everybody on the machine, so secrets belong into
// the environment. Defaults in ${…} differ by command.
type Config struct {
	RedisURL    string `env:"SLUICE_REDIS_URL" name:"redis-url" placeholder:"URL" group:"Servers" help:"Redis, as redis://[:password@]host:port/db (rediss:// for TLS). ${given}"`
	PostgresURL string `env:"SLUICE_POSTGRES_URL" name:"postgres-url" placeholder:"URL" group:"Servers" help:"Postgres itself (no pooler), as postgres://user:password@host:port/database. ${given}"`
	DataDir     string `env:"SLUICE_DATA_DIR" placeholder:"DIR" group:"Servers" help:"Folder of the private servers and of the token key made for them. Default: /var/lib/sluice for root, else sluice in the user's cache folder."`
	Partitions  int    `env:"SLUICE_PARTITIONS" default:"16" placeholder:"N" group:"Servers" help:"Partitions, 1 to 4096; fixed for the life of a database. Default: ${default}."`

	PostgresConns int32 `env:"SLUICE_POSTGRES_CONNS" default:"20" placeholder:"N" group:"Servers" help:"Connections to Postgres, at most; 4 or more. Default: ${default}."`

	Listen        string        `env:"SLUICE_LISTEN" default:":8080" placeholder:"ADDR" group:"Ports" help:"Address of the API, host:port. Default: ${default}, all interfaces."`
	OpsListen     string        `env:"SLUICE_OPS_LISTEN" default:"${ops_listen}" placeholder:"ADDR" group:"Ports" help:"Address of /healthz, /readyz and /metrics, which ask for no token. Default: ${default}."`
	JWTKeys       string        `env:"SLUICE_JWT_KEYS" name:"jwt-keys" placeholder:"ID:SECRET,…" group:"Ports" help:"Keys of bearer tokens: the first signs, all are accepted. A secret is 32 bytes or more, in base64 or as it is. ${keys}"`
	ShutdownGrace time.Duration `env:"SLUICE_SHUTDOWN_GRACE" default:"10s" placeholder:"TIME" group:"Ports" help:"How long requests under way may take to finish at shutdown. Default: ${default}."`

	BuyerRate  float64 `env:"SLUICE_BUYER_RATE" default:"20" placeholder:"N" group:"Limits" help:"Requests per second that one buyer may send to one partition; 0: no limit. Default: ${default}."`
	BuyerBurst int     `env:"SLUICE_BUYER_BURST" default:"40" placeholder:"N" group:"Limits" help:"Requests a buyer may send at once before that rate holds. Default: ${default}."`
	Backlog    int64   `env:"SLUICE_BACKLOG" default:"100000" placeholder:"N" group:"Limits" help:"Requests that may be queued in one partition; more are refused with 503. Default: ${default}."`

	BatchesKeep time.Duration `env:"SLUICE_BATCHES_KEEP" default:"24h" placeholder:"TIME" group:"Limits" help:"How long the log of settled batches is kept, 24h or more: the audit and a Redis restored from an old copy need it. Default: ${default}."`

	LogLevel  string `env:"SLUICE_LOG_LEVEL" default:"${log_level}" placeholder:"LEVEL" group:"Logs" help:"debug, info, warn or error. Default: ${default}."`
	LogFormat string `env:"SLUICE_LOG_FORMAT" default:"${log_format}" placeholder:"FORMAT" group:"Logs" help:"json or console, on standard error. Default: ${default}."`
	Name      string `env:"SLUICE_NAME" default:"${name}" placeholder:"NAME" group:"Logs" help:"Name of this process, which no other living one may have. Default: host, process number and a random word."`
}

// Need is something that a command cannot do without.
type Need string

// The needs.
const (
	Servers Need = "servers" // both URLs are given
	Keys    Need = "keys"    // token keys are given
)

// Faults is every fault of a configuration at once; an error.
type Faults []string

func (f Faults) Error() string {
	return "the configuration is wrong:\n  " + strings.Join(f, "\n  ")
}

// Check tells everything that is wrong with c at once, before anything opens:
// nil, or Faults. It never repeats a secret.
func (c Config) Check(needs ...Need) error {
	var faults Faults
	must := func(ok bool, name, rule string, args ...any) {
		if !ok {
			faults = append(faults, name+" "+fmt.Sprintf(rule, args...))
		}
	}
	_, redisErr := redis.ParseURL(c.RedisURL)
	must(c.RedisURL == "" || redisErr == nil, "SLUICE_REDIS_URL", "must look like redis://[:password@]host:port/db")
	_, postgresErr := pgx.ParseConfig(c.PostgresURL)
	isURL := strings.HasPrefix(c.PostgresURL, "postgres://") || strings.HasPrefix(c.PostgresURL, "postgresql://")
	must(c.PostgresURL == "" || isURL && postgresErr == nil, "SLUICE_POSTGRES_URL", "must look like postgres://user:password@host:port/database")
	if slices.Contains(needs, Servers) {
		must(c.RedisURL != "", "SLUICE_REDIS_URL", "is missing")
		must(c.PostgresURL != "", "SLUICE_POSTGRES_URL", "is missing")
	}
	must(c.Partitions >= 1 && c.Partitions <= sale.MaxPartitions, "SLUICE_PARTITIONS", "must be between 1 and %d, is %d", sale.MaxPartitions, c.Partitions)
	must(c.PostgresConns >= 4, "SLUICE_POSTGRES_CONNS", "must be at least 4, is %d", c.PostgresConns)

	must(isAddress(c.Listen), "SLUICE_LISTEN", "must be host:port or :port, is %q", c.Listen)
	must(isAddress(c.OpsListen), "SLUICE_OPS_LISTEN", "must be host:port or :port, is %q", c.OpsListen)
	must(c.Listen != c.OpsListen || strings.HasSuffix(c.Listen, ":0"), "SLUICE_OPS_LISTEN", "must not be the API's own address, %s", c.Listen)
	if c.JWTKeys != "" {
		_, err := parseKeys(c.JWTKeys)
		must(err == nil, "SLUICE_JWT_KEYS", "%v", err)
	} else if slices.Contains(needs, Keys) {
		must(false, "SLUICE_JWT_KEYS", "is missing; `openssl rand -base64 32` makes a secret")
	}
	must(c.ShutdownGrace > 0 && c.ShutdownGrace <= 10*time.Minute, "SLUICE_SHUTDOWN_GRACE", "must be more than 0 and at most 10m, is %s", c.ShutdownGrace)

	must(c.BuyerRate >= 0 && c.BuyerRate <= 1e6, "SLUICE_BUYER_RATE", "must be between 0 and 1000000, is %v", c.BuyerRate)
	must(c.BuyerBurst >= 1, "SLUICE_BUYER_BURST", "must be at least 1, is %d", c.BuyerBurst)
	must(c.Backlog >= 1, "SLUICE_BACKLOG", "must be at least 1, is %d", c.Backlog)
	must(c.BatchesKeep >= 24*time.Hour, "SLUICE_BATCHES_KEEP", "must be at least 24h, is %s", c.BatchesKeep)

	must(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "SLUICE_LOG_LEVEL", "must be debug, info, warn or error, is %q", c.LogLevel)
	must(c.LogFormat == "json" || c.LogFormat == "console", "SLUICE_LOG_FORMAT", "must be json or console, is %q", c.LogFormat)
	odd := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	must(c.Name != "" && len(c.Name) <= 100 && !strings.ContainsFunc(c.Name, odd), "SLUICE_NAME", "must be 1 to 100 printable characters without blanks, is %q", c.Name)
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// settings is what there is to show of c, without its secrets.
func (c Config) settings() [][2]string {
	return [][2]string{
		{"redis_url", maskURL(c.RedisURL)}, {"postgres_url", maskURL(c.PostgresURL)}, {"data_dir", c.DataDir},
		{"partitions", strconv.Itoa(c.Partitions)}, {"postgres_conns", strconv.Itoa(int(c.PostgresConns))},
		{"listen", c.Listen}, {"ops_listen", c.OpsListen}, {"jwt_keys", maskKeys(c.JWTKeys)},
		{"shutdown_grace", c.ShutdownGrace.String()},
		{"buyer_rate", strconv.FormatFloat(c.BuyerRate, 'g', -1, 64)}, {"buyer_burst", strconv.Itoa(c.BuyerBurst)},
		{"backlog", strconv.FormatInt(c.Backlog, 10)}, {"batches_keep", c.BatchesKeep.String()},
		{"log_level", c.LogLevel}, {"log_format", c.LogFormat}, {"name", c.Name},
	}
}

// String is c as it may be shown to anybody: secrets are masked.
func (c Config) String() string {
	var parts []string
	for _, s := range c.settings() {
		parts = append(parts, s[0]+"="+strconv.Quote(s[1]))
	}
	return strings.Join(parts, " ")
}

// GoString keeps %#v from printing secrets.
func (c Config) GoString() string { return "process.Config{" + c.String() + "}" }

// MarshalZerologObject logs c like String.
func (c Config) MarshalZerologObject(e *zerolog.Event) {
	for _, s := range c.settings() {
		e.Str(s[0], s[1])
	}
}

// Logger answers a logger as c wants it. It lets no secret through, whoever logs it.
func (c Config) Logger(w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // Check has said it
	}
	terminal := IsTerminal(w)
	w = masked{w}
	if c.LogFormat == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !terminal}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// IsTerminal says whether a person reads w as it is written.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (c Config) limits() partition.Limits {
	return partition.Limits{Rate: c.BuyerRate, Burst: c.BuyerBurst, Backlog: c.Backlog}
}

func isAddress(a string) bool {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

const mask = "xxxxx"

// maskURL hides the password of a URL, wherever drivers accept one. What is no
// URL may be anything and is hidden whole.
func maskURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return mask
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") {
			query.Set(name, mask)
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}

// defaultName is unlike any other living process's.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}
