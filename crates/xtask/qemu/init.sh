#!/bin/busybox sh
# The first program of the guest: makes a small machine, runs pods on it, prints results, powers off.
# A line `RESULT passed|failed|skipped NAME` is a result; everything else is for the reader.

# --- the first file system cannot be pivoted away from, so everything moves to another one
if [ "$1" != moved ]; then
    bb=/bin/busybox
    $bb mkdir -p /proc /newroot
    $bb mount -t proc proc /proc
    $bb mount -t tmpfs -o mode=755 tmpfs /newroot
    $bb mkdir -p /newroot/usr/bin /newroot/usr/sbin /newroot/usr/lib /newroot/etc /newroot/dev /newroot/proc \
        /newroot/sys /newroot/run /newroot/tmp /newroot/var /newroot/root
    $bb cp -a /bin/busybox /bin/monopod /bin/container-cases /bin/e2e /newroot/usr/bin/
    $bb cp -a /examples /modules /init /newroot/
    $bb cp -a /perl/. /newroot/usr/
    $bb ln -s usr/bin /newroot/bin
    $bb ln -s usr/sbin /newroot/sbin
    $bb ln -s usr/lib /newroot/lib
    $bb ln -s usr/lib64 /newroot/lib64
    exec $bb switch_root /newroot /bin/busybox sh /init moved
fi

/bin/busybox --install -s /usr/bin
export PATH=/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
echo "root:x:0:0:root:/root:/bin/sh" > /etc/passwd
echo "root:x:0:" > /etc/group
# Each is here after those that it needs.
for module in /modules/*.ko; do insmod "$module" || echo "guest: cannot load $module"; done
echo "guest: kernel $(uname -r), controllers $(cat /sys/fs/cgroup/cgroup.controllers)"

result() { echo "RESULT $1 $2"; }

# check NAME COMMAND...: passed when the command succeeds; else its output is shown.
check() {
    name=$1; shift
    if "$@" > /tmp/out 2>&1; then result passed "$name"; else result failed "$name"; sed 's/^/    /' /tmp/out; fi
}

# No process, cgroup, mount or file of a pod is left, at the latest after 20 s.
clean() {
    n=0
    while [ $n -lt 200 ]; do
        left=$(find /sys/fs/cgroup -type d -name 'pod*'; pgrep -f 'monopod shim'; ls /var/log/pods /var/lib/monopod/pods 2> /dev/null | grep -v ':$')
        [ -z "$left" ] && return 0
        sleep 0.1; n=$((n + 1))
    done
    echo "left behind: $left"; ps; return 1
}

# pod NAME SCRIPT [FIELDS]: a manifest with one container that runs the script.
pod() {
    cat > /tmp/$1.yaml << END
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  volumes: [{name: trace, hostPath: {path: /tmp/trace, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: localhost/host
    command: ["sh", "-c", "$2"]
    volumeMounts: [{name: trace, mountPath: /trace}]
    $3
END
}

# wait_up PID: until the container says so, at most 60 s and only while the engine lives.
wait_up() {
    n=0
    until [ -e /tmp/trace/up ]; do
        kill -0 "$1" && [ $n -lt 600 ] || return 1
        sleep 0.1; n=$((n + 1))
    done
}

# example NAME TEXT...: runs to its end with success and says each text.
example() {
    timeout 120 monopod run "/examples/$1.yaml" > /tmp/example 2>&1
    code=$?
    cat /tmp/example
    [ $code -eq 0 ] || return 1
    shift
    for text in "$@"; do grep -q "$text" /tmp/example || { echo "did not say: $text"; return 1; }; done
    clean
}

# Read from outside: what a container sees of its cgroup is another matter.
limits() {
    rm -f /tmp/trace/*
    pod limits 'trap \"exit 0\" TERM; touch /trace/up; sleep 1000 & wait' 'resources: {limits: {memory: 64Mi, cpu: 500m}}'
    monopod run /tmp/limits.yaml & engine=$!
    wait_up $engine || return 1
    cgroup=$(find /sys/fs/cgroup/monopod -type d -name 'main-*')
    memory=$(cat "$cgroup/memory.max") cpu=$(cat "$cgroup/cpu.max")
    kill -INT $engine
    wait $engine || return 1
    echo "$cgroup: memory.max $memory, cpu.max $cpu"
    [ "$memory" = 67108864 ] && [ "$cpu" = "50000 100000" ] && clean
}

oom() {
    pod oom 'tail -c 300000000 /dev/zero' 'resources: {limits: {memory: 32Mi}}'
    timeout 120 monopod run /tmp/oom.yaml > /tmp/oom.out 2>&1
    code=$?
    cat /tmp/oom.out
    [ $code -eq 1 ] && grep -q OOMKilled /tmp/oom.out && clean
}

# cpu.max and memory.max of what runs: four cases, none of them skipped.
resize() {
    container-cases resize > /tmp/cases 2>&1
    code=$?
    cat /tmp/cases
    [ $code -eq 0 ] && [ "$(grep -c ': Passed$' /tmp/cases)" = 4 ]
}

# The device rules are a program in the kernel here: a node that a container makes itself stays closed.
devices() {
    pod devices 'echo x > /dev/null && mknod /tmp/kmsg c 1 11 && ! head -c 1 /tmp/kmsg && touch /trace/closed'
    timeout 60 monopod run /tmp/devices.yaml && [ -e /tmp/trace/closed ]
}

interrupted() {
    rm -f /tmp/trace/*
    pod interrupted 'trap \"touch /trace/stopped; exit 0\" TERM; touch /trace/up; sleep 1000 & wait'
    monopod run /tmp/interrupted.yaml & engine=$!
    wait_up $engine || return 1
    kill -INT $engine
    wait $engine || return 1
    [ -e /tmp/trace/stopped ] && clean
}

killed() {
    rm -f /tmp/trace/*
    pod killed 'trap \"touch /trace/stopped; exit 0\" TERM; touch /trace/up; sleep 1000 & wait'
    monopod run /tmp/killed.yaml & engine=$!
    wait_up $engine || return 1
    kill -KILL $engine
    clean && [ -e /tmp/trace/stopped ]
}

# suites FILTER...: each test of the end-to-end suites is a result; two at once, as there are two processors.
suites() {
    e2e --program /usr/bin/monopod --jobs 2 --patience 6 "$@" 2>&1 | tee /tmp/suites | while IFS= read -r line; do
        case $line in
            "passed  "*) set -- $line; result passed "$2" ;;
            "FAILED  "*) set -- $line; result failed "$2" ;;
            "Skipped("*) result skipped "${line##* }" ;;
            *) echo "$line" ;;
        esac
    done
    # Also an end without results is one.
    tail -n 1 /tmp/suites | grep -q ' 0 failed' || result failed "suites $*"
}

mkdir -p /tmp/trace
check init example init greeting=hello
check sidecar example sidecar 'shipped: app: first line' 'shipped: app: last line'
check job-with-sidecar example job-with-sidecar 'sum is 5050'
check limits limits
check oom oom
check resize resize
check devices devices
check interrupted interrupted
check killed killed
suites attacks::confined attacks::open memory_of_processes a_crowd_of an_image_with_links \
    files_that_are_hard limits_are_in_the_cgroup resize:: eviction:: \
    pod_network::pods_reach host_ports::lead_to_the_pod host_ports::in_use_by_a_process host_ports::two_pods
check nothing-left clean
check no-cgroup-left test ! -d /sys/fs/cgroup/monopod
echo "RESULTS COMPLETE"
reboot -f
