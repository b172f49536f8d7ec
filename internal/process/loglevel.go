package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/logs"
)

const (
	levelWord    = 1 << 10 // bytes of a body that names a level
	levelForMost = 24 * time.Hour
)

// loudness is the log level while an operator listens more closely: /loglevel.
type loudness struct {
	log        zerolog.Logger
	configured zerolog.Level

	mu    sync.Mutex
	until time.Time   // when it returns to the configured one; zero: when it is told to
	back  *time.Timer // which does that
}

// levelAnswer is what /loglevel answers.
type levelAnswer struct {
	Level      string     `json:"level"`
	Configured string     `json:"configured"`
	Until      *time.Time `json:"until,omitempty"`
}

func (l *loudness) answer() levelAnswer {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := levelAnswer{Level: logs.Level().String(), Configured: l.configured.String()}
	if !l.until.IsZero() {
		until := l.until.UTC()
		a.Until = &until
	}
	return a
}

// set makes level the program's, for so long; 0: until it is told otherwise.
func (l *loudness) set(level zerolog.Level, lasts time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	if lasts > 0 {
		l.until = time.Now().Add(lasts).Round(time.Millisecond)
		var own *time.Timer
		own = time.AfterFunc(lasts, func() { l.comeBack(&own) })
		l.back = own
	}
	l.change(level)
}

// comeBack returns to the configured level, unless somebody was faster and wants
// something else. *own is to be read under the lock only.
func (l *loudness) comeBack(own **time.Timer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back != *own {
		return
	}
	l.forget()
	l.change(l.configured)
}

// forget drops what was to come back. It needs the lock.
func (l *loudness) forget() {
	if l.back != nil {
		l.back.Stop()
	}
	l.back, l.until = nil, time.Time{}
}

// change is written at every level: the log must say why there is more or less of it.
func (l *loudness) change(to zerolog.Level) {
	event := l.log.WithLevel(zerolog.NoLevel).Str(zerolog.LevelFieldName, zerolog.LevelInfoValue).Stringer("from", logs.Level()).Stringer("to", to)
	if !l.until.IsZero() {
		event.Time("until", l.until.UTC())
	}
	logs.SetLevel(to)
	event.Msg("log level changed")
}

// stop leaves the level as it is, for whatever is still said.
func (l *loudness) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
}

// get answers the level.
func (l *loudness) get(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, l.log, http.StatusOK, l.answer())
}

// put changes it: to a plain word, or {"level": word}; ?for=10m says for how long.
func (l *loudness) put(w http.ResponseWriter, r *http.Request) {
	level, err := levelOf(http.MaxBytesReader(w, r.Body, levelWord))
	if err != nil {
		refuseOps(w, l.log, http.StatusBadRequest, "bad_level", err)
		return
	}
	var lasts time.Duration
	if text := r.URL.Query().Get("for"); text != "" {
		lasts, err = time.ParseDuration(text)
		if err != nil || lasts < time.Second || lasts > levelForMost {
			refuseOps(w, l.log, http.StatusBadRequest, "bad_time", fmt.Errorf("for must be a time between 1s and %s, like 10m", levelForMost))
			return
		}
	}
	l.set(level, lasts)
	l.get(w, r)
}

var errLevel = errors.New(`the body must be debug, info, warn or error, or {"level": one of them}`)

func levelOf(body io.Reader) (zerolog.Level, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return 0, errLevel
	}
	word := strings.TrimSpace(string(text))
	if strings.HasPrefix(word, "{") {
		var asked struct{ Level string }
		if err := json.Unmarshal(text, &asked); err != nil {
			return 0, errLevel
		}
		word = asked.Level
	}
	switch level, err := zerolog.ParseLevel(word); {
	case err != nil, level < zerolog.DebugLevel, level > zerolog.ErrorLevel:
		return 0, errLevel
	default:
		return level, nil
	}
}
