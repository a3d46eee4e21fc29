package owner

import (
	"fmt"
	"strconv"
	"strings"
)

// Attr is the extended attribute of files and folders whose owner was asked for: "UID:GID".
const Attr = "user.sandbox.owner"

// Owner is what was asked for. An id of -1 was not: it is that of the same path in the layers below,
// else 0.
type Owner struct{ UID, GID int }

// Nobody is the owner of which nothing is known.
var nobody = Owner{-1, -1}

// Over completes o with the owner that the path has below.
func (o Owner) Over(below Owner) Owner {
	if o.UID < 0 {
		o.UID = max(below.UID, 0)
	}
	if o.GID < 0 {
		o.GID = max(below.GID, 0)
	}
	return o
}

// With is o after a chown to uid and gid, where -1 keeps what is there.
func (o Owner) With(uid, gid int) Owner {
	if uid >= 0 {
		o.UID = uid
	}
	if gid >= 0 {
		o.GID = gid
	}
	return o
}

// String is the value of the attribute.
func (o Owner) String() string { return strconv.Itoa(o.UID) + ":" + strconv.Itoa(o.GID) }

// Parse reads the value of an attribute. Programs inside can set it to anything.
func Parse(s string) (Owner, error) {
	u, g, ok := strings.Cut(s, ":")
	uid, err1 := number(u)
	gid, err2 := number(g)
	if !ok || err1 != nil || err2 != nil {
		return nobody, fmt.Errorf("not an owner: %.40q", s)
	}
	return Owner{uid, gid}, nil
}

// number is an id, or -1, in the one form that String gives.
func number(s string) (int, error) {
	if s == "-1" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 || len(s) > 1 && s[0] == '0' || s[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	return int(n), nil
}
