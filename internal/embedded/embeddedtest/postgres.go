package embeddedtest

import (
	"fmt"
	"net/url"
	"sync"
	"testing"

	"sluice/internal/embedded"
	"sluice/migrations"

	"github.com/jackc/pgx/v5"
)

// template is the database that all others are cloned from.
const template = "sluice"

// cluster is the one Postgres of this test binary.
type cluster struct {
	url string // of the template; nobody may be connected to it while it is cloned

	sync.Mutex // one clone at a time, over one connection
	admin      *pgx.Conn
	clones     int
}

var (
	theCluster     = sync.OnceValues(func() (*cluster, error) { return startCluster(false) })
	theReplicables = sync.OnceValues(func() (*cluster, error) { return startCluster(true) })
)

// Postgres returns the URL of a new database that has all migrations applied,
// with the superuser's rights. It is dropped when the test ends, together with
// whoever is still connected to it.
func Postgres(t testing.TB) string {
	t.Helper()
	return clonedFrom(t, theCluster)
}

// clonedFrom clones a database of one of the clusters.
func clonedFrom(t testing.TB, from func() (*cluster, error)) string {
	t.Helper()
	c, err := from()
	if err != nil {
		fail(t, err)
	}
	name, err := c.clone()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.drop(name); err != nil {
			t.Error(err)
		}
	})
	// Settings of a role in a database are not cloned; all the rest is there.
	ctx, cancel := within()
	defer cancel()
	if err := migrations.Apply(ctx, c.database(name)); err != nil {
		t.Fatal(err)
	}
	return c.database(name)
}

func startCluster(replicable bool) (*cluster, error) {
	dir, err := newFolder("postgres")
	if err != nil {
		return nil, err
	}
	ctx, cancel := within()
	defer cancel()
	// A Redis that is named is not started: the tests have theirs from Redis.
	servers, err := embedded.Start(ctx, embedded.Options{Dir: dir, Redis: "redis://unused", Replicable: replicable})
	if err != nil {
		return nil, err
	}
	atEnd(func() { servers.Close() })
	c := &cluster{url: servers.PostgresURL}
	if err := migrations.Apply(ctx, c.url); err != nil {
		return nil, err
	}
	c.admin, err = pgx.Connect(ctx, c.database("postgres"))
	return c, err
}

// database is the URL of another database in the cluster.
func (c *cluster) database(name string) string {
	u, err := url.Parse(c.url)
	if err != nil {
		panic(err) // embedded made it
	}
	u.Path = "/" + name
	return u.String()
}

func (c *cluster) clone() (name string, err error) {
	c.Lock()
	defer c.Unlock()
	c.clones++
	name = fmt.Sprintf("test_%d", c.clones)
	return name, c.exec("create database " + name + " template " + template)
}

func (c *cluster) drop(name string) error {
	c.Lock()
	defer c.Unlock()
	return c.exec("drop database " + name + " with (force)")
}

func (c *cluster) exec(statement string) error {
	ctx, cancel := within()
	defer cancel()
	if _, err := c.admin.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
