package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sluice/client"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/process"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const password = "correct horse battery"

// house is all of Sluice over servers of its own.
type house struct {
	*testing.T
	url      string
	inside   *process.Process
	postgres string
	redis    string
	log      *listened
}

// listened is a log of which the test is told when news flow, and otherwise what is wrong.
type listened struct {
	to    io.Writer
	flows chan struct{}
	once  sync.Once
}

func (l *listened) Write(line []byte) (int, error) { return l.to.Write(line) }

func (l *listened) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if bytes.Contains(line, []byte("news flow")) {
		l.once.Do(func() { close(l.flows) })
	}
	if level < zerolog.WarnLevel {
		return len(line), nil
	}
	return l.Write(line)
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, postgres: embeddedtest.Postgres(t), redis: embeddedtest.Redis(t), log: &listened{to: t.Output(), flows: make(chan struct{})}}
	var err error
	h.inside, err = process.Open(t.Context(), process.Config{
		RedisURL: h.redis, PostgresURL: h.postgres, JWTKeys: "test:" + strings.Repeat("s", 32), Name: "client-test",
		Partitions: 16, PostgresConns: 20, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 5 * time.Second,
		BuyerRate: 100, BuyerBurst: 100, Backlog: 100_000, PollBudget: 10_000, Waiters: 1000, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json",
	}, zerolog.New(h.log))
	h.must(err)
	var doors [2]net.Listener
	for i := range doors {
		doors[i], err = process.Listen(t.Context(), "127.0.0.1:0")
		h.must(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.inside.Run(ctx, doors[0], doors[1]) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, h.inside.Close()); err != nil {
			t.Error(err)
		}
	})
	h.url = "http://" + doors[0].Addr().String()
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// refused checks that err is a problem of this code.
func (h *house) refused(what string, err error, code client.Code) {
	h.Helper()
	if client.CodeOf(err) != code {
		h.Errorf("%s: %v, not %s", what, err, code)
	}
}

func (h *house) client(options ...client.Option) *client.Client {
	h.Helper()
	c, err := client.New(h.url, append(options, client.WithPageSize(1))...) // every list turns its pages
	h.must(err)
	h.Cleanup(c.Close)
	return c
}

// join signs somebody up.
func (h *house) join(email string, role client.Role) (*client.Client, client.Tokens) {
	h.Helper()
	c := h.client()
	tokens, err := c.SignUp(h.Context(), email, password, role)
	h.must(err)
	return c, tokens
}

func collect[T any](h *house, list func(func(T, error) bool)) (all []T) {
	h.Helper()
	for item, err := range list {
		h.must(err)
		all = append(all, item)
	}
	return all
}

// expired is a session whose access token has expired.
func (h *house) expired(t client.Tokens) client.Tokens {
	h.Helper()
	access, err := h.inside.Token(t.Account, string(t.Role), -time.Minute)
	h.must(err)
	t.Access = access
	return t
}

func TestRealAccounts(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	ada, tokens := h.join("ada@example.com", client.Buyer)
	if tokens.Role != client.Buyer || tokens.Account == 0 || !tokens.RefreshExpires.After(tokens.AccessExpires) {
		t.Errorf("got %+v, until %s and %s", tokens, tokens.AccessExpires, tokens.RefreshExpires)
	}
	me, err := ada.Me(ctx)
	h.must(err)
	if me.Account != tokens.Account || me.Email != "ada@example.com" || me.Role != client.Buyer || time.Since(me.CreatedAt) > time.Hour {
		t.Errorf("got %+v", me)
	}
	nobody := h.client()
	_, err = nobody.SignUp(ctx, "ADA@example.com", password, client.Seller)
	h.refused("her e-mail again", err, client.CodeEmailTaken)
	_, err = nobody.SignUp(ctx, "eve@example.com", password, client.Admin)
	h.refused("an admin", err, client.CodeInvalidFields)
	_, err = nobody.SignUp(ctx, "eve@example.com", "short", client.Buyer)
	h.refused("a short password", err, client.CodeInvalidFields)
	_, err = nobody.SignIn(ctx, "ada@example.com", "another password")
	h.refused("a wrong password", err, client.CodeBadCredentials)
	_, err = nobody.Me(ctx)
	h.refused("nobody", err, client.CodeUnauthorized)

	// A session that was kept for too long is renewed, and its former token ends it.
	var kept []client.Tokens
	old, err := nobody.SignIn(ctx, "ada@example.com", password)
	h.must(err)
	phone := h.client(client.WithTokens(h.expired(old)), client.WithSaver(func(t client.Tokens) { kept = append(kept, t) }))
	_, err = phone.Me(ctx)
	h.must(err)
	if len(kept) != 1 || kept[0].Refresh == old.Refresh || kept[0].Account != old.Account {
		t.Errorf("kept %v", kept)
	}
	thief := h.client(client.WithTokens(h.expired(old)))
	_, err = thief.Me(ctx)
	h.refused("a stolen token", err, client.CodeSessionEnded)
	_, err = h.client(client.WithTokens(h.expired(kept[0]))).Me(ctx)
	h.refused("its family", err, client.CodeSessionEnded)

	// A new password ends all other sessions.
	_, err = ada.ChangePassword(ctx, "another password", "a new password")
	h.refused("a change by a stranger", err, client.CodeBadCredentials)
	_, err = ada.ChangePassword(ctx, password, "short")
	h.refused("a change for the worse", err, client.CodeInvalidFields)
	other, err := nobody.SignIn(ctx, "ada@example.com", password)
	h.must(err)
	_, err = ada.ChangePassword(ctx, password, "a new password")
	h.must(err)
	_, err = h.client(client.WithTokens(h.expired(other))).Me(ctx)
	h.refused("another session", err, client.CodeSessionEnded)
	_, err = h.client(client.WithTokens(h.expired(tokens))).Me(ctx)
	h.must(err)

	me, err = ada.ChangeEmail(ctx, "a new password", "ada@example.org")
	h.must(err)
	if me.Email != "ada@example.org" {
		t.Errorf("got %+v", me)
	}
	_, err = ada.SignIn(ctx, "ada@example.org", "a new password")
	h.must(err)
	h.must(ada.SignOut(ctx))
	_, err = ada.Me(ctx)
	h.refused("signed out", err, client.CodeUnauthorized)

	_, err = ada.SignIn(ctx, "ada@example.org", "a new password")
	h.must(err)
	h.refused("a wrong goodbye", ada.DeleteAccount(ctx, "another password"), client.CodeBadCredentials)
	h.must(ada.DeleteAccount(ctx, "a new password"))
	_, err = ada.SignIn(ctx, "ada@example.org", "a new password")
	h.refused("gone", err, client.CodeBadCredentials)
}

func TestRealWallet(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	ada, _ := h.join("ada@example.com", client.Buyer)
	first, err := ada.TopUp(ctx, 5000, client.WithKey("mine"))
	h.must(err)
	again, err := ada.TopUp(ctx, 5000, client.WithKey("mine"))
	h.must(err)
	_, err = ada.TopUp(ctx, 6000, client.WithKey("mine"))
	h.refused("the same key for more", err, client.CodeMismatch)
	second, err := ada.TopUp(ctx, 1000)
	h.must(err)
	_, err = ada.TopUp(ctx, 0)
	h.refused("nothing", err, client.CodeInvalidFields)
	_, err = ada.TopUp(ctx, 1<<53-1)
	h.refused("everything", err, client.CodeTooMuch)
	if first.ID == "" || again.ID != first.ID || second.ID == first.ID || !first.Sandbox || first.Balance != 5000 || second.Balance != 6000 {
		t.Errorf("got %+v, %+v, %+v", first, again, second)
	}
	balance, err := ada.Balance(ctx)
	h.must(err)
	entries := collect(h, ada.Statement(ctx))
	if balance != 6000 || len(entries) != 2 || entries[0].Amount != 1000 || entries[1].Amount != 5000 ||
		entries[0].Kind != client.EntryTopUp || entries[0].ID == entries[1].ID || !entries[1].At.Equal(first.At) {
		t.Errorf("%d, by %+v", balance, entries)
	}
}
