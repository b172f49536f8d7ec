package process

import (
	"cmp"
	"context"
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
	"github.com/rs/zerolog"

	"sluice/internal/httpapi"
	"sluice/internal/logs"
	"sluice/internal/partition"
	"sluice/internal/redisurl"
	"sluice/internal/sale"
)

// Config is every setting of Sluice. Each can be given in the environment or as
// a flag; a flag is visible to everybody on the machine, so secrets belong into
// the environment, or into files that the environment names. Defaults in ${…}
// differ by command.
type Config struct {
	RedisURL    string `env:"SLUICE_REDIS_URL" name:"redis-url" placeholder:"URL" group:"Servers" help:"Redis: redis://[user:password@]host:port/db, one server; redis+sentinel://[user:password@]host:port,…/master-name, Sentinels; redis+cluster://[user:password@]host:port,…, a cluster. rediss for TLS. ${given}"`
	PostgresURL string `env:"SLUICE_POSTGRES_URL" name:"postgres-url" placeholder:"URL" group:"Servers" help:"Postgres, or a pooler before it (SLUICE_POSTGRES_POOLER), as postgres://user:password@host:port/database. ${given}"`

	RedisURLFile    string `env:"SLUICE_REDIS_URL_FILE" name:"redis-url-file" placeholder:"FILE" group:"Servers" help:"File that holds SLUICE_REDIS_URL instead, as Docker and Kubernetes give secrets."`
	PostgresURLFile string `env:"SLUICE_POSTGRES_URL_FILE" name:"postgres-url-file" placeholder:"FILE" group:"Servers" help:"File that holds SLUICE_POSTGRES_URL instead."`

	RedisDial func(ctx context.Context, network, addr string) (net.Conn, error) `kong:"-"` // opens the connections to Redis; nil: the driver does

	PostgresPooler        bool   `env:"SLUICE_POSTGRES_POOLER" default:"false" group:"Servers" help:"SLUICE_POSTGRES_URL leads to a pooler in transaction mode, such as PgBouncer. Default: ${default}."`
	PostgresDirectURL     string `env:"SLUICE_POSTGRES_DIRECT_URL" name:"postgres-direct-url" placeholder:"URL" group:"Servers" help:"Past the pooler to Postgres itself, by the same user, for what needs a session: migrations."`
	PostgresDirectURLFile string `env:"SLUICE_POSTGRES_DIRECT_URL_FILE" name:"postgres-direct-url-file" placeholder:"FILE" group:"Servers" help:"File that holds SLUICE_POSTGRES_DIRECT_URL instead."`

	PostgresReplicaURL     string        `env:"SLUICE_POSTGRES_REPLICA_URL" name:"postgres-replica-url" placeholder:"URL" group:"Servers" help:"A hot standby of Postgres, for reads that may be a little old: lists, summaries, exports, old receipts. Default: the primary answers them."`
	PostgresReplicaURLFile string        `env:"SLUICE_POSTGRES_REPLICA_URL_FILE" name:"postgres-replica-url-file" placeholder:"FILE" group:"Servers" help:"File that holds SLUICE_POSTGRES_REPLICA_URL instead."`
	PostgresReplicaLag     time.Duration `env:"SLUICE_POSTGRES_REPLICA_LAG" default:"3s" placeholder:"TIME" group:"Servers" help:"How old an answer of the replica may be, 200ms to 5m; while it is further behind, or away, the primary answers. Default: ${default}."`

	DataDir    string `env:"SLUICE_DATA_DIR" placeholder:"DIR" group:"Servers" help:"Folder of the private servers and of the token key made for them. Default: /var/lib/sluice for root, else sluice in the user's cache folder."`
	Partitions int    `env:"SLUICE_PARTITIONS" default:"16" placeholder:"N" group:"Servers" help:"Partitions, 1 to 4096; fixed for the life of a database. Default: ${default}."`

	PostgresConns int32 `env:"SLUICE_POSTGRES_CONNS" default:"20" placeholder:"N" group:"Servers" help:"Connections to Postgres, at most; 4 or more. Default: ${default}."`

	Listen        string        `env:"SLUICE_LISTEN" default:":8080" placeholder:"ADDR" group:"Ports" help:"Address of the API, host:port. Default: ${default}, all interfaces."`
	OpsListen     string        `env:"SLUICE_OPS_LISTEN" default:"${ops_listen}" placeholder:"ADDR" group:"Ports" help:"Address of /healthz, /readyz, /metrics, /audit, /loglevel and /debug, which ask for no token: for operators only. Default: ${default}."`
	JWTKeys       string        `env:"SLUICE_JWT_KEYS" name:"jwt-keys" placeholder:"ID:SECRET,…" group:"Ports" help:"Keys of bearer tokens: the first signs, all are accepted. A secret is 32 bytes or more, in base64 or as it is. ${keys}"`
	JWTKeysFile   string        `env:"SLUICE_JWT_KEYS_FILE" name:"jwt-keys-file" placeholder:"FILE" group:"Ports" help:"File that holds SLUICE_JWT_KEYS instead."`
	ShutdownGrace time.Duration `env:"SLUICE_SHUTDOWN_GRACE" default:"10s" placeholder:"TIME" group:"Ports" help:"How long a process may take to stop, whatever hangs; requests under way get all of it but two seconds. Default: ${default}."`

	TrustedProxies string  `env:"SLUICE_TRUSTED_PROXIES" placeholder:"LIST" group:"Edge" help:"Addresses and prefixes (10.0.0.0/8, comma-separated) of the proxies before the API. Only what they write into X-Forwarded-For and X-Forwarded-Proto is believed; Forwarded never is. Default: none."`
	IPRate         float64 `env:"SLUICE_IP_RATE" name:"ip-rate" default:"500" placeholder:"N" group:"Edge" help:"Requests per second that one address (of IPv6: one /64) may send to one API process; 0: no limit. Connections from the machine itself that name nobody else are exempt: own tools, load tests, probes. Default: ${default}."`
	IPBurst        int     `env:"SLUICE_IP_BURST" name:"ip-burst" default:"1000" placeholder:"N" group:"Edge" help:"Requests an address may send at once before that rate holds. Default: ${default}."`
	CORSOrigins    string  `env:"SLUICE_CORS_ORIGINS" name:"cors-origins" placeholder:"LIST" group:"Edge" help:"Origins (https://shop.example.com, comma-separated) whose pages may read the API's answers. Default: none."`
	Production     bool    `env:"SLUICE_PRODUCTION" default:"false" group:"Edge" help:"Refuse weak secrets, secrets in files that everybody may read, and pages by plain http; and give no points out of nothing (403 topups_off). Default: ${default}."`
	Web            string  `env:"SLUICE_WEB" default:"on" enum:"on,off" placeholder:"on|off" group:"Edge" help:"Pages for people at every address beside the API's own: the storefront, the seller's desk and the operator's. Default: ${default}."`
	GrafanaURL     string  `env:"SLUICE_GRAFANA_URL" placeholder:"URL" group:"Edge" help:"Address of the dashboards in Grafana, for a link on the operator's desk. Default: none."`

	BuyerRate  float64 `env:"SLUICE_BUYER_RATE" default:"20" placeholder:"N" group:"Limits" help:"Requests per second that one buyer may send to one partition; 0: no limit. Default: ${default}."`
	BuyerBurst int     `env:"SLUICE_BUYER_BURST" default:"40" placeholder:"N" group:"Limits" help:"Requests a buyer may send at once before that rate holds. Default: ${default}."`
	Backlog    int64   `env:"SLUICE_BACKLOG" default:"100000" placeholder:"N" group:"Limits" help:"Requests that may be queued in one partition; more are refused with 503. Default: ${default}."`

	PollBudget float64 `env:"SLUICE_POLL_BUDGET" default:"10000" placeholder:"N" group:"Limits" help:"Receipt polls per second that one API process invites: with more who wait, each is told to ask less often. Default: ${default}."`
	Waiters    int     `env:"SLUICE_WAITERS" default:"20000" placeholder:"N" group:"Limits" help:"Long polls and event streams at once in one API process. Default: ${default}."`

	BatchesKeep time.Duration `env:"SLUICE_BATCHES_KEEP" default:"24h" placeholder:"TIME" group:"Limits" help:"How long the log of settled batches is kept, 24h or more: the audit and a Redis restored from an old copy need it. Default: ${default}."`

	ReceiptsKeep time.Duration `env:"SLUICE_RECEIPTS_KEEP" default:"0" placeholder:"TIME" group:"Limits" help:"How long receipts are kept after every sale made in their month is over, 744h (31 days) or more and no less than the log; then they are dropped, and unknown. 0: for ever. Default: ${default}."`

	AuditEvery time.Duration `env:"SLUICE_AUDIT_EVERY" default:"5s" placeholder:"TIME" group:"Limits" help:"How often, at most, the scheduler that leads audits the live sales (a third as often while nothing is settled); a sale that it finds broken twice is suspended. 0: never. Default: ${default}."`

	LogLevel       string `env:"SLUICE_LOG_LEVEL" default:"${log_level}" placeholder:"LEVEL" group:"Logs" help:"debug, info, warn or error. Default: ${default}."`
	LogFormat      string `env:"SLUICE_LOG_FORMAT" default:"${log_format}" placeholder:"FORMAT" group:"Logs" help:"json or console, on standard error. Default: ${default}."`
	FlightRecorder bool   `env:"SLUICE_FLIGHT_RECORDER" default:"false" group:"Logs" help:"Keep the last seconds of the program's inner life in memory, for /debug/flight. Default: ${default}."`
	Name           string `env:"SLUICE_NAME" default:"${name}" placeholder:"NAME" group:"Logs" help:"Name of this process, which no other living one may have. Default: host, process number and a random word."`
}

// Need is something that a command cannot do without.
type Need string

// The needs.
const (
	Servers Need = "servers" // both URLs are given
	Keys    Need = "keys"    // token keys are given
	Schema  Need = "schema"  // it migrates, if servers are given
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
	_, redisErr := redisurl.Parse(c.RedisURL)
	must(c.RedisURL == "" || redisErr == nil, "SLUICE_REDIS_URL",
		"must look like redis://[:password@]host:port/db, redis+sentinel://[:password@]host:port,host:port/master-name or redis+cluster://[:password@]host:port,host:port: %v", redisErr)
	for _, u := range []struct{ name, url string }{{"SLUICE_POSTGRES_URL", c.PostgresURL}, {"SLUICE_POSTGRES_DIRECT_URL", c.PostgresDirectURL}, {"SLUICE_POSTGRES_REPLICA_URL", c.PostgresReplicaURL}} {
		must(u.url == "" || isPostgres(u.url), u.name, "must look like postgres://user:password@host:port/database")
	}
	c.checkPooler(must, needs)
	must(c.PostgresReplicaURL == "" || c.PostgresURL != "", "SLUICE_POSTGRES_REPLICA_URL", "is of SLUICE_POSTGRES_URL, which is missing")
	must(c.PostgresReplicaURL == "" || c.PostgresReplicaLag >= 200*time.Millisecond && c.PostgresReplicaLag <= 5*time.Minute, "SLUICE_POSTGRES_REPLICA_LAG", "must be between 200ms and 5m, is %s", c.PostgresReplicaLag)
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

	_, proxiesErr := httpapi.ParseProxies(c.TrustedProxies)
	must(proxiesErr == nil, "SLUICE_TRUSTED_PROXIES", "names what cannot be trusted: %v", proxiesErr)
	must(c.IPRate == 0 || c.IPRate >= 0.01 && c.IPRate <= 1e6, "SLUICE_IP_RATE", "must be between 0.01 and 1000000, or 0 for no limit, is %v", c.IPRate)
	must(c.IPBurst >= 1 && c.IPBurst <= 1e6 || c.IPRate == 0 && c.IPBurst == 0, "SLUICE_IP_BURST", "must be between 1 and 1000000, is %d", c.IPBurst)
	_, originsErr := httpapi.ParseOrigins(c.CORSOrigins)
	must(originsErr == nil, "SLUICE_CORS_ORIGINS", "names what is no origin: %v", originsErr)
	if c.Production {
		c.checkDoors(must)
	}

	must(c.BuyerRate >= 0 && c.BuyerRate <= 1e6, "SLUICE_BUYER_RATE", "must be between 0 and 1000000, is %v", c.BuyerRate)
	must(c.BuyerBurst >= 1, "SLUICE_BUYER_BURST", "must be at least 1, is %d", c.BuyerBurst)
	must(c.Backlog >= 1, "SLUICE_BACKLOG", "must be at least 1, is %d", c.Backlog)
	must(c.PollBudget >= 50 && c.PollBudget <= 1e6, "SLUICE_POLL_BUDGET", "must be between 50 and 1000000, is %v", c.PollBudget)
	must(c.Web == "" || c.Web == "on" || c.Web == "off", "SLUICE_WEB", "must be on or off, is %q", c.Web) // "": off, of a Config that nobody has parsed
	must(c.GrafanaURL == "" || isPage(c.GrafanaURL), "SLUICE_GRAFANA_URL", "must be the http:// or https:// address of a page, without a password")
	must(c.Waiters >= 1 && c.Waiters <= 1_000_000, "SLUICE_WAITERS", "must be between 1 and 1000000, is %d", c.Waiters)
	must(c.AuditEvery == 0 || c.AuditEvery >= 100*time.Millisecond && c.AuditEvery <= time.Hour, "SLUICE_AUDIT_EVERY", "must be between 100ms and 1h, or 0 for never, is %s", c.AuditEvery)
	must(c.BatchesKeep >= 24*time.Hour, "SLUICE_BATCHES_KEEP", "must be at least 24h, is %s", c.BatchesKeep)

	must(c.ReceiptsKeep == 0 || c.ReceiptsKeep >= 31*24*time.Hour && c.ReceiptsKeep >= c.BatchesKeep, "SLUICE_RECEIPTS_KEEP", "must be at least 744h (31 days) and SLUICE_BATCHES_KEEP, or 0 for ever, is %s", c.ReceiptsKeep)

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
		{"postgres_pooler", strconv.FormatBool(c.PostgresPooler)}, {"postgres_direct_url", maskURL(c.PostgresDirectURL)},
		{"postgres_replica_url", maskURL(c.PostgresReplicaURL)}, {"postgres_replica_url_file", c.PostgresReplicaURLFile}, {"postgres_replica_lag", c.PostgresReplicaLag.String()},
		{"partitions", strconv.Itoa(c.Partitions)}, {"postgres_conns", strconv.Itoa(int(c.PostgresConns))},
		{"listen", c.Listen}, {"ops_listen", c.OpsListen}, {"jwt_keys", maskKeys(c.JWTKeys)},
		{"redis_url_file", c.RedisURLFile}, {"postgres_url_file", c.PostgresURLFile}, {"postgres_direct_url_file", c.PostgresDirectURLFile}, {"jwt_keys_file", c.JWTKeysFile},
		{"shutdown_grace", c.ShutdownGrace.String()},
		{"trusted_proxies", c.TrustedProxies}, {"ip_rate", strconv.FormatFloat(c.IPRate, 'g', -1, 64)}, {"ip_burst", strconv.Itoa(c.IPBurst)},
		{"cors_origins", c.CORSOrigins}, {"production", strconv.FormatBool(c.Production)},
		{"buyer_rate", strconv.FormatFloat(c.BuyerRate, 'g', -1, 64)}, {"buyer_burst", strconv.Itoa(c.BuyerBurst)},
		{"backlog", strconv.FormatInt(c.Backlog, 10)}, {"web", c.Web}, {"grafana_url", maskURL(c.GrafanaURL)}, {"poll_budget", strconv.FormatFloat(c.PollBudget, 'g', -1, 64)},
		{"waiters", strconv.Itoa(c.Waiters)}, {"batches_keep", c.BatchesKeep.String()}, {"receipts_keep", c.ReceiptsKeep.String()}, {"audit_every", c.AuditEvery.String()},
		{"log_level", c.LogLevel}, {"log_format", c.LogFormat}, {"flight_recorder", strconv.FormatBool(c.FlightRecorder)}, {"name", c.Name},
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

// Logger answers a logger as c wants it, and sets the level of the program, which
// /loglevel may change. It lets no secret through, whoever logs it.
func (c Config) Logger(w io.Writer) zerolog.Logger {
	logs.SetLevel(c.level())
	terminal := IsTerminal(w)
	w = masked{w}
	if c.LogFormat == "console" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !terminal}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// level is what LogLevel says.
func (c Config) level() zerolog.Level {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // Check has said it
	}
	return level
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

// edge is how the API meets the network. Check has told what cannot be read.
func (c Config) edge() httpapi.Edge {
	proxies, _ := httpapi.ParseProxies(c.TrustedProxies)
	origins, _ := httpapi.ParseOrigins(c.CORSOrigins)
	return httpapi.Edge{Proxies: proxies, IPRate: c.IPRate, IPBurst: c.IPBurst, Origins: origins}
}

func isPostgres(url string) bool {
	_, err := pgx.ParseConfig(url)
	return err == nil && (strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://"))
}

// checkPooler tells what does not fit together about a pooler before Postgres.
func (c Config) checkPooler(must func(ok bool, name, rule string, args ...any), needs []Need) {
	if !c.PostgresPooler {
		must(c.PostgresDirectURL == "", "SLUICE_POSTGRES_DIRECT_URL", "leads past a pooler, and SLUICE_POSTGRES_POOLER is off")
		return
	}
	must(c.PostgresURL != "", "SLUICE_POSTGRES_POOLER", "is about SLUICE_POSTGRES_URL, which is missing")
	must(c.PostgresDirectURL != "" || !slices.Contains(needs, Schema), "SLUICE_POSTGRES_DIRECT_URL",
		"is missing: migrations need a session of their own, which no pooler gives")
}

// SchemaURL is where migrations run.
func (c Config) SchemaURL() string { return cmp.Or(c.PostgresDirectURL, c.PostgresURL) }

func isAddress(a string) bool {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isPage says that text is an address that may stand in a page.
func isPage(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

const mask = "xxxxx"

// maskURL hides the password of a URL, wherever drivers accept one. What is no
// URL may be anything and is hidden whole.
func maskURL(text string) string {
	if text == "" {
		return ""
	}
	text, hosts := oneHost(text)
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
	if hosts != "" {
		u.Host = hosts
	}
	return u.Redacted()
}

// oneHost puts one host in the place of several, host:port,host:port, which no URL has by
// the book, and answers those.
func oneHost(text string) (with, hosts string) {
	start := strings.Index(text, "://") + len("://")
	if start < len("://") {
		return text, ""
	}
	end := len(text)
	if i := strings.IndexAny(text[start:], "/?#"); i >= 0 {
		end = start + i
	}
	start += strings.LastIndexByte(text[start:end], '@') + 1
	hosts = text[start:end]
	for host := range strings.SplitSeq(hosts, ",") {
		if !isAddress(host) { // it may be the half of a password
			return text, ""
		}
	}
	return text[:start] + "host" + text[end:], hosts
}

// defaultName is unlike any other living process's.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}
