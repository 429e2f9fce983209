import { create } from "@bufbuild/protobuf";
import { type AITask, AITaskSchema } from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Template } from "./table.ts";

/** Lists the AI tasks in visiting order; how many there may be is not decided here (spec/04 §5.5). @throws GraphError `decode_ai_task` */
export function listAiTasks({ table }: Template): AITask[] {
  return table.visited("coder_ai_task").map((resource) => {
    const values = new Attributes(resource.values(), "decode_ai_task", "decode coder_ai_task attributes");
    const [sidebarId = ""] = values.blocks("sidebar_app").map((block) => block.string("id"));
    const appId = values.string("app_id") || sidebarId;
    // Older servers know only the sidebar app, and require it.
    return create(AITaskSchema, { id: values.string("id"), appId, sidebarApp: { id: appId } });
  });
}
