package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
)

// oracle answers every script with one answer, and every question for fields with
// others.
type oracle struct {
	answer any
	fields []any
}

func (*oracle) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*oracle) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o *oracle) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		switch cmd := cmd.(type) {
		case *redis.Cmd:
			cmd.SetVal(o.answer)
		case *redis.SliceCmd:
			cmd.SetVal(o.fields)
		}
		return nil
	}
}

// FuzzAnswers: whatever Redis answers, nothing breaks, and nobody is let in by an
// answer that no script gives. Answers are JSON, whose numbers are whole.
func FuzzAnswers(f *testing.F) {
	f.Add(`"rotated"`, "1001", "buyer", "s", byte(0))
	f.Add(`"replayed"`, "1001", "buyer", "s", byte(0))
	f.Add(`"unknown"`, "", "", "", byte(1))
	f.Add(`["other"]`, "x", "buyer", "", byte(2))
	f.Add(`[["other",null],7]`, "9223372036854775808", "", "", byte(4))
	f.Add(`"stamped"`, "-1", "", "", byte(7))
	f.Add(`7`, "1", "", "", byte(0))
	f.Add(`null`, "1", "", "", byte(0))
	o := &oracle{}
	client := redis.NewClient(&redis.Options{})
	client.AddHook(o)
	f.Cleanup(func() { client.Close() })
	scripts, err := readScripts()
	if err != nil {
		f.Fatal(err)
	}
	s := &Store{redis: client, scripts: scripts}
	refresh := newToken().encode()
	f.Fuzz(func(t *testing.T, answer, account, role, stamp string, missing byte) {
		o.answer = nil
		if json.Unmarshal([]byte(answer), &o.answer) != nil {
			o.answer = answer
		}
		if n, isNumber := o.answer.(float64); isNumber {
			o.answer = int64(n)
		}
		o.fields = []any{account, role, stamp}
		for i := range o.fields {
			if missing&(1<<i) != 0 {
				o.fields[i] = nil
			}
		}
		if of, err := s.Find(t.Context(), refresh); err == nil && missing&1 != 0 {
			t.Errorf("%q is %+v", o.fields, of)
		}
		of, next, err := s.Rotate(t.Context(), refresh)
		switch {
		case err == nil:
			if _, ok := parseToken(next); !ok || o.answer != "rotated" || missing&1 != 0 {
				t.Errorf("%v of %q rotates to %q of %+v", o.answer, o.fields, next, of)
			}
		case next != "":
			t.Errorf("%v is %v, and yet %q", o.answer, err, next)
		case errors.Is(err, ErrReplayed) && o.answer != "replayed":
			t.Errorf("%v is a replay", o.answer)
		}
		first, err := s.Start(t.Context(), Session{Account: 1001})
		if _, isList := o.answer.([]any); isList != (err == nil) || isList == (first == "") {
			t.Errorf("%v starts %q, %v", o.answer, first, err)
		}
		err = s.EndOthers(t.Context(), 1001, "name", "stamp")
		if stamped := o.answer == "stamped" || o.answer == "unknown"; stamped != (err == nil) {
			t.Errorf("%v is stamped: %v", o.answer, err)
		}
		n, isNumber := o.answer.(int64)
		if _, err := s.Allow(t.Context(), "this", Limit{}); (isNumber && n >= 0) != (err == nil) {
			t.Errorf("%v allows it: %v", o.answer, err)
		}
		if err := s.GiveBack(t.Context(), "this"); isNumber != (err == nil) {
			t.Errorf("%v gives back: %v", o.answer, err)
		}
	})
}
