package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/rs/zerolog"
)

// at runs the test at a level and leaves the program at the one before.
func at(t testing.TB, level zerolog.Level) {
	t.Helper()
	before := Level()
	SetLevel(level)
	t.Cleanup(func() { SetLevel(before) })
}

// lines are what a log has written, each decoded.
func lines(t *testing.T, written *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for decoder := json.NewDecoder(written); ; {
		var line map[string]any
		switch err := decoder.Decode(&line); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, line)
	}
}

// TestLevelReachesThoseDerivedBefore: a logger with fields, and one that is sampled, were
// made before the level changed.
func TestLevelReachesThoseDerivedBefore(t *testing.T) {
	at(t, zerolog.WarnLevel)
	var written bytes.Buffer
	log := zerolog.New(&written)
	derived := log.With().Int("partition", 3).Logger()
	sampled := Glimpses(derived)
	say := func() int {
		written.Reset()
		derived.Info().Msg("a")
		sampled.Info().Msg("b")
		derived.Debug().Msg("c")
		sampled.Debug().Msg("d")
		return len(lines(t, &written))
	}
	if n := say(); n != 0 {
		t.Errorf("at warn: %d lines", n)
	}
	SetLevel(zerolog.DebugLevel)
	if n := say(); n != 4 {
		t.Errorf("at debug: %d lines, want 4", n)
	}
	SetLevel(zerolog.InfoLevel)
	if n := say(); n != 2 {
		t.Errorf("at info: %d lines, want 2", n)
	}
}

// TestNothingIsLostFromTheCount: what is written and what is said to be left out are all
// that was said.
func TestNothingIsLostFromTheCount(t *testing.T) {
	at(t, zerolog.InfoLevel)
	var written bytes.Buffer
	log := Glimpses(zerolog.New(&written))
	const said = 20*every + 1
	for range said {
		log.Info().Msg("settled")
	}
	log.Warn().Msg("a fault, which tells the rest") // is never sampled
	all := lines(t, &written)
	if len(all) < burst+1 || len(all) > said/100 {
		t.Errorf("%d lines of %d", len(all), said)
	}
	left := 0
	for i, line := range all {
		n, _ := line["left_out"].(float64)
		left += int(n)
		if i < burst && n != 0 {
			t.Errorf("line %d of the burst says that %v were left out", i, n)
		}
	}
	if got := len(all) - 1 + left; got != said {
		t.Errorf("%d lines and %d left out are not %d", len(all)-1, left, said)
	}
}

func TestFaultsAreNeverSampled(t *testing.T) {
	at(t, zerolog.InfoLevel)
	var written bytes.Buffer
	log := Glimpses(zerolog.New(&written))
	for range 3 * every {
		log.WithLevel(zerolog.WarnLevel).Msg("request")
		log.Error().Msg("request")
	}
	if n := len(lines(t, &written)); n != 6*every {
		t.Errorf("%d lines of %d", n, 6*every)
	}
}

func TestNothingIsSampledAtDebug(t *testing.T) {
	at(t, zerolog.DebugLevel)
	var written bytes.Buffer
	log := Glimpses(zerolog.New(&written))
	for range 3 * every {
		log.Info().Msg("settled")
	}
	if n := len(lines(t, &written)); n != 3*every {
		t.Errorf("%d lines of %d", n, 3*every)
	}
}

// TestUnwantedLinesCostNothing: what the level keeps out, and what is sampled away, is
// not allocated for. The known-bad twin is a line that is written into a hook that
// discards it.
func TestUnwantedLinesCostNothing(t *testing.T) {
	at(t, zerolog.InfoLevel)
	log := zerolog.New(io.Discard).With().Int("partition", 3).Logger()
	sampled := Glimpses(log)
	for range burst + 1 { // the burst, and the first of the thousands
		sampled.Info().Msg("settled")
	}
	if n := testing.AllocsPerRun(every/2, func() { log.Debug().Str("request_id", "x").Int64("sale", 7).Msg("below the level") }); n != 0 {
		t.Errorf("below the level: %v allocations", n)
	}
	if n := testing.AllocsPerRun(every/2, func() { sampled.Info().Str("request_id", "x").Int64("sale", 7).Msg("sampled away") }); n > 0.5 {
		t.Errorf("sampled away: %v allocations", n)
	}
	twin := log.Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, message string) {
		e.Str("wasted", string(append([]byte(message), '!')))
		e.Discard()
	}))
	if n := testing.AllocsPerRun(100, func() { twin.Info().Str("request_id", "x").Msg("thrown away when it is made, much later than need be") }); n == 0 {
		t.Error("a line that is made and thrown away costs nothing: the test shows nothing")
	}
}

func BenchmarkDisabledLine(b *testing.B) {
	at(b, zerolog.InfoLevel)
	log := zerolog.New(io.Discard).With().Int("partition", 3).Logger()
	b.ReportAllocs()
	for b.Loop() {
		log.Debug().Str("request_id", "x").Int64("sale", 7).Msg("settled")
	}
}

func BenchmarkSampledLine(b *testing.B) {
	at(b, zerolog.InfoLevel)
	log := Glimpses(zerolog.New(io.Discard))
	b.ReportAllocs()
	for b.Loop() {
		log.Info().Str("request_id", "x").Int64("sale", 7).Msg("settled")
	}
}
