// Package boards reads the dashboards as Grafana does and says what is wrong with them.
// It knows nothing of how they were drawn: what it judges are the files.
//
//	grafana/dashboards/*.json ──▶ Read ──▶ Board …
//	                                         │
//	                  form, layout, words, links, variables      Complaints, of the file alone
//	                  queries, against docs/metrics.md           Complaints
//	                  queries, against a running deployment      the tests, on a stage
//
// Only tests import it.
package boards

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Board is a dashboard: as much of it as can be wrong.
type Board struct {
	File string `json:"-"`

	UID         string   `json:"uid"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
	Time        struct{ From, To string }
	Links       []Link   `json:"links"`
	Panels      []*Panel `json:"panels"`
	Templating  struct{ List []*Variable }
	Annotations struct{ List []*Annotation }
}

// Link leads somewhere: an address, or the boards with these tags.
type Link struct {
	Title, Type, URL string
	Tags             []string
}

// Panel is a picture, or a row's heading.
type Panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ Type, UID string }
	Links       []Link
	Targets     []*Target
	Panels      []*Panel // that a row hides
	FieldConfig struct {
		Defaults  struct{ Unit string }
		Overrides []struct {
			Properties []struct {
				ID    string
				Value any
			}
		}
	}
}

// Target is a query and what its series are called.
type Target struct {
	RefID        string
	Expr         string
	LegendFormat string
	Instant      bool
	Datasource   struct{ Type, UID string }
}

// Variable is what a reader can choose.
type Variable struct {
	Name, Label, Description, Type string
	AllValue                       string
	Query                          any
}

// Annotation is what is marked in all graphs.
type Annotation struct{ Name, Expr string }

// Read reads all dashboards of a folder.
func Read(folder string) (all []*Board, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("there are no dashboards in " + folder)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		b := &Board{File: filepath.Base(file)}
		if err := json.Unmarshal(text, b); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all = append(all, b)
	}
	return all, nil
}

// Pictures are the panels that show something.
func (b *Board) Pictures() (all []*Panel) {
	for _, p := range b.Panels {
		if p.Type == "row" {
			all = append(all, p.Panels...)
			continue
		}
		all = append(all, p)
	}
	return all
}

// Complaints is everything that is wrong with the boards, by themselves and against
// what they speak of. None: they are good.
func Complaints(all []*Board, w World) (wrong []string) {
	uids := map[string]*Board{}
	for _, b := range all {
		if other := uids[b.UID]; other != nil {
			wrong = append(wrong, b.File+" has the uid of "+other.File)
		}
		uids[b.UID] = b
	}
	for _, b := range all {
		say := func(format string, args ...any) { wrong = append(wrong, b.File+": "+fmt.Sprintf(format, args...)) }
		b.form(say)
		b.layout(say)
		b.words(say)
		b.links(say, uids, w)
		b.variables(say)
		b.queries(say, w)
	}
	return wrong
}

type complain func(format string, args ...any)
