package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// The exit statuses of every command.
const (
	ExitOK      = 0
	ExitFailure = 1 // it was started rightly and could not do its work
	ExitUsage   = 2 // wrong flags or settings; nothing was opened
)

// Command is a program that is one loop of a Process and the operations port.
type Command struct {
	Name  string
	About string // for --help
	Ops   string // default of SLUICE_OPS_LISTEN, unlike the other commands'
	Needs []Need
	Run   func(*Process, context.Context) error
}

// Main is the whole main function of such a program: it reads the configuration,
// opens a Process, runs until SIGINT or SIGTERM, and exits.
func (c Command) Main() {
	var flags struct {
		Config  `embed:""`
		Version kong.VersionFlag `help:"Print the version and exit."`
	}
	Parse(&flags, c.Name, c.About, kong.Vars{
		"ops_listen": c.Ops, "log_level": "info", "log_format": "json", "given": "Required.",
		"keys": "Only the API needs them.",
	})
	ctx, stop := Signals(context.Background())
	err := c.run(ctx, flags.Config)
	stop()
	os.Exit(Status(err, os.Stderr, c.Name))
}

func (c Command) run(ctx context.Context, config Config) (err error) {
	if err := config.Check(c.Needs...); err != nil {
		return err
	}
	log := config.Logger(os.Stderr)
	TakeDriverLogs(log)
	log.Info().Str("version", Version()).EmbedObject(config).Msg("starting " + c.Name)
	return stopped(ctx, config.ShutdownGrace, log, func() (err error) {
		p, err := Open(ctx, config, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		// The operations port stops last: an operator sees the shutdown to its end.
		return Together(ctx, func(ctx context.Context) error { return c.Run(p, ctx) }, atMost(opsPatience, p.RunOps))
	})
}

// stopped is bounded work of a program that was asked to stop when ctx ended. What it
// could not end in order then is told, and is no failure: it did what it was told, and
// nothing depends on how a process ends.
func stopped(ctx context.Context, grace time.Duration, log zerolog.Logger, work func() error) error {
	err := bounded(ctx, grace, log, work)
	if err != nil && ctx.Err() != nil {
		log.Warn().Err(err).Msg("stopped, but not in order")
		return nil
	}
	return err
}

// bounded is work, which has so long to end after ctx has. What still hangs then is
// left to end with the process.
func bounded(ctx context.Context, grace time.Duration, log zerolog.Logger, work func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(grace):
		log.Warn().Stringer("grace", grace).Msg("stopped in the middle: something hangs")
		return nil
	}
}

// TakeDriverLogs gives log what go-redis would write to standard error in its own
// form. The driver has one logger for the whole program: call it before anything
// opens.
func TakeDriverLogs(log zerolog.Logger) { redis.SetLogger(driverLog{log}) }

type driverLog struct{ log zerolog.Logger }

// Printf is called for connections that broke or could not be made; the command
// that met them tells its own error too.
func (d driverLog) Printf(_ context.Context, format string, args ...any) {
	d.log.Warn().Str("driver", "redis").Msgf(format, args...)
}

// Parse reads the command line and the environment into grammar, a pointer to a
// struct with kong's tags. Bad use ends the program with ExitUsage.
func Parse(grammar any, name, about string, options ...kong.Option) *kong.Context {
	parser := kong.Must(grammar, append([]kong.Option{
		kong.Name(name), kong.Description(about),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: false, WrapUpperBound: 110}),
		kong.ValueFormatter(withEnv),
		kong.Vars{"version": name + " " + Version(), "name": defaultName()},
	}, options...)...)
	ctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		parser.Errorf("%s", err)
		fmt.Fprintf(os.Stderr, "Run \"%s --help\" for the usage.\n", name)
		os.Exit(ExitUsage)
	}
	return ctx
}

// withEnv adds the name of the environment variable to a flag's help.
func withEnv(value *kong.Value) string {
	if value.Tag == nil || len(value.Tag.Envs) == 0 {
		return value.Help
	}
	return value.Help + " [$" + value.Tag.Envs[0] + "]"
}

// Signals answers a context that ends at the first SIGINT or SIGTERM. The second
// one kills the process, as if nobody listened for it.
func Signals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Status prints err, if there is one, and answers the exit status it asks for.
func Status(err error, stderr io.Writer, name string) int {
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	if faults := Faults(nil); errors.As(err, &faults) {
		return ExitUsage
	}
	return ExitFailure
}

// stamped is the version where the build cannot see the repository, as in an image:
// -ldflags "-X sluice/internal/process.stamped=v1.2.3".
var stamped string

// Version names the build: what it was stamped with, else the module's version, else
// the commit it was built from.
func Version() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, dirty := info.Main.Version, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && (version == "" || version == "(devel)"):
			version = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if version == "" || version == "(devel)" {
		version = "development"
	}
	return version + dirty
}
