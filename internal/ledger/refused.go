package ledger

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// RefusesData says that err is Postgres refusing what it was told to write, or the
// ledger in its place (Impossible): the same will be refused again, however often it is
// sent. It names the few
// kinds of refusal that a value can cause; whatever else goes wrong, known or not,
// is a matter of the server, the way to it or its schema, and ends.
//
// Class 42 is not among them. Our statements are fixed, so an unknown column or a
// missing privilege says that schema and program do not fit, and is as true of
// every other request.
func RefusesData(err error) bool {
	if impossible := (*Impossible)(nil); errors.As(err, &impossible) {
		return true
	}
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || len(refusal.Code) != 5 {
		return false
	}
	switch refusal.Code[:2] {
	case "21", // cardinality violation: two rows where one must be
		"22", // data exception: out of range, not a number, not text
		"23", // integrity constraint: CHECK, unique, not null, foreign key
		"27", // triggered data change
		"44", // WITH CHECK OPTION
		"P0": // raised by a trigger
		return true
	}
	return refusal.Code == "54000" // a row that is too big for its page or its index
}
