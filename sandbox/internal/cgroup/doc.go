// Package cgroup makes a control group of version 2 for one sandbox, with caps that the kernel keeps, where
// this user may make one. Use [Host.New], start the sandbox in [Group.FD], then [Group.Remove].
//
// A group can be made below one of ours, or one that ours lies in, whose folder and cgroup.procs we may write
// (systemd gives a user the groups below user@UID.service; root has all). Its controllers have to be switched
// on in that group's cgroup.subtree_control, which the kernel refuses where processes are in it. Nothing is
// changed where no cap is asked for. A group that was left behind by a process that was killed is removed by
// the next that looks.
package cgroup
