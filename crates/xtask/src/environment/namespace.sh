# Changes what a daemon sees of the file system, in a mount namespace of its own, and becomes that daemon.
# Arguments: hide=FOLDER, disk=FOLDER=SIZE, bind=FROM=TO, drop=MOUNT, then -- PROGRAM ARGUMENTS
set -eu
while [ "$1" != -- ]; do
  case $1 in
    hide=*) mount -t tmpfs -o mode=1777 tmpfs "${1#hide=}" ;;
    disk=*) pair=${1#disk=}; mount -t tmpfs -o "mode=711,size=${pair#*=}" tmpfs "${pair%%=*}" ;;
    drop=*) umount "${1#drop=}" ;;
    bind=*) pair=${1#bind=}; mount --bind "${pair%%=*}" "${pair#*=}" ;;
  esac
  shift
done
shift
exec "$@"
